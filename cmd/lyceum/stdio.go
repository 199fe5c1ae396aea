package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/bridge"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
)

type stdioCmd struct {
	settings
	URL   string `help:"MCP endpoint of a remote server; without it the server runs in this process." placeholder:"URL" env:"LYCEUM_URL"`
	Token string `help:"Bearer token for --url; without it, and if the server wants one, you log in with a browser." placeholder:"TOKEN" env:"LYCEUM_TOKEN"`

	Header []string `help:"Header for every request to --url, such as for a gateway; repeatable. $${NAME} stands for a variable of the environment." placeholder:"NAME:VALUE" sep:"none"`

	ClientID          string        `help:"OAuth client for the login, registered beforehand; without it one is registered." placeholder:"ID" env:"LYCEUM_CLIENT_ID"`
	ClientSecret      string        `help:"Secret of --client-id, if it has one." placeholder:"SECRET" env:"LYCEUM_CLIENT_SECRET"`
	ClientMetadataURL string        `help:"The https URL of a client-id metadata document, for authorization servers that take one." placeholder:"URL" env:"LYCEUM_CLIENT_METADATA_URL"`
	ClientCredentials bool          `help:"Log in as --client-id itself, with its secret, and ask nobody."`
	CallbackPort      int           `help:"Port on 127.0.0.1 that the browser comes back to; 0 is any." default:"0"`
	Open              bool          `help:"Open the login page in a browser, besides printing its URL."`
	LoginWait         time.Duration `help:"How long the login waits for you." default:"5m"`
	Logout            bool          `help:"Forget the login for --url, and exit."`
}

func (c *stdioCmd) run(ctx context.Context, p process, given map[string][]string) error {
	if c.URL != "" {
		return c.remote(ctx, p)
	}
	if c.Logout {
		return errors.New("--logout: want the --url whose login is to be forgotten")
	}
	if len(c.Header) > 0 {
		return errors.New("--header: want the --url that it is for")
	}
	cfg, err := c.load(p, given, true)
	if err != nil {
		return err
	}
	a, err := app.New(ctx, cfg, app.Options{Log: p.stderr, Env: p.env, Process: true, Local: true})
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan error, 1)
	go func() { stopped <- a.Run(serving) }()
	err = bridge.Run(ctx, p.stdin, p.stdout, bridge.Config{URL: "http://localhost/mcp", Transport: a.Local(localUser()), Log: p.stderr})
	stop()
	if runErr := <-stopped; runErr != nil {
		return fmt.Errorf("stop the server: %w", runErr)
	}
	if ctx.Err() != nil { // asked to stop: that is no failure
		return nil
	}
	return err
}

// remote is the bridge to a server elsewhere.
func (c *stdioCmd) remote(ctx context.Context, p process) error {
	headers, err := c.headers(p)
	if err != nil {
		return err
	}
	cfg := bridge.Config{URL: c.URL, Transport: http.DefaultTransport, Token: c.Token, Headers: headers, Log: p.stderr}
	if c.Token == "" || c.Logout {
		dir, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("where to keep the login: %w (give a token with --token)", err)
		}
		cfg.Login = &bridge.Login{
			CacheDir: dir, Wait: c.LoginWait, CallbackPort: c.CallbackPort,
			ClientID: c.ClientID, ClientSecret: c.ClientSecret, MetadataURL: c.ClientMetadataURL, Machine: c.ClientCredentials,
		}
		if c.Open {
			cfg.Login.Open = openBrowser
		}
	}
	if !c.Logout {
		bridge.Slim()
		cfg.Quiet = bridge.Slim
		if err := bridge.Run(ctx, p.stdin, p.stdout, cfg); ctx.Err() == nil { // asked to stop: that is no failure
			return err
		}
		return nil
	}
	known, err := bridge.Logout(ctx, c.URL, cfg)
	if err != nil {
		return err
	}
	text := "logged out of " + c.URL
	if !known {
		text = "there was no login for " + c.URL
	}
	_, err = fmt.Fprintln(p.stderr, "lyceum stdio:", text)
	return err
}

// headers reads what --header says.
func (c *stdioCmd) headers(p process) (http.Header, error) {
	h := http.Header{}
	for _, text := range c.Header {
		name, value, err := bridge.ParseHeader(text, p.env)
		if err != nil {
			return nil, fmt.Errorf("--header: %w", err)
		}
		if name == "Authorization" && c.Token != "" {
			return nil, errors.New("--header: Authorization is what --token gives: want one of them")
		}
		h.Add(name, value)
	}
	return h, nil
}

// openBrowser shows a page with the program that the system has for that. It is
// not waited for: it may be the browser itself.
func openBrowser(url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	cmd := exec.Command(name, args...) // stdout stays the host's alone
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

// localUser is who a host on this machine is: the user who started it, with
// every right over what is theirs.
func localUser() *identity.Principal {
	name := "local"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	return &identity.Principal{
		Tenant: "local", Issuer: "local", Subject: name, Name: name,
		Scopes: []string{string(policy.Code), string(policy.Reason)},
	}
}
