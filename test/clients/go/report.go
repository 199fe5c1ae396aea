package main

// report is what was seen. Its shape is known to the test that runs the program.
type report struct {
	Negotiated string   `json:"negotiated"`
	Server     string   `json:"server"`
	Session    bool     `json:"session"` // the server gave a transport session
	Tools      []string `json:"tools"`

	Progress struct {
		Client []float64 `json:"client"` // as the library handed them on
		Wire   []string  `json:"wire"`   // events of the call's stream, in order
		Best   string    `json:"best"`   // the answer
	} `json:"progress"`

	Cancel struct {
		Error       string `json:"error"`       // of the call
		By          string `json:"by"`          // what stopped it: the context, or job_cancel
		FreedMillis int64  `json:"freedMillis"` // until nothing was running
		NextMillis  int64  `json:"nextMillis"`  // of the following call
	} `json:"cancel"`

	Resources struct {
		Listed    int    `json:"listed"`
		Templates int    `json:"templates"`
		Type      string `json:"type"` // of the guide
		Length    int    `json:"length"`
	} `json:"resources"`

	Update struct {
		Subscribed string `json:"subscribed"`
		Told       string `json:"told"`
		Read       bool   `json:"read"` // what the change wrote is in what is read then
	} `json:"update"`

	Prompts struct {
		Names []string `json:"names"`
		Text  bool     `json:"text"` // the prompt holds its argument
	} `json:"prompts"`

	Completion struct {
		Prompt   []string `json:"prompt"`
		Resource []string `json:"resource"`
	} `json:"completion"`

	Ping  string `json:"ping"`  // error
	Level string `json:"level"` // error
	Log   string `json:"log"`   // level of the message that a warning made

	Parallel struct {
		Right   int      `json:"right"`
		Wrong   []string `json:"wrong"`
		Foreign int      `json:"foreign"` // progress on another call's stream
		Missing int      `json:"missing"` // calls that asked for progress and got none
	} `json:"parallel"`

	OAuth struct {
		Registered int    `json:"registered"` // status
		Challenge  string `json:"challenge"`  // method
		Scope      string `json:"scope"`
		Resource   string `json:"resource"`
		Verifier   bool   `json:"verifier"`
		Logins     int    `json:"logins"`
		Refreshes  int    `json:"refreshes"` // that succeeded
		NewToken   bool   `json:"newToken"`  // the call after the refresh had another token
	} `json:"oauth"`

	Close struct {
		Error  string `json:"error"`
		Delete int    `json:"delete"` // status of the DELETE; 0 if there was none
		After  int    `json:"after"`  // status of a request of the closed session; 0 if there was none
	} `json:"close"`
}
