package config

// TLS says with what the listeners encrypt. Without a certificate they speak
// plain HTTP.
type TLS struct {
	CertFile     string `key:"cert_file" format:"file_or_empty" default:"" doc:"certificate of the listeners in PEM, with what it is signed with; read again when it changes and at SIGHUP"`
	KeyFile      string `key:"key_file" format:"file_or_empty" default:"" doc:"its private key in PEM"`
	ClientCAFile string `key:"client_ca_file" format:"file_or_empty" default:"" doc:"authorities in PEM whose certificates clients must show, besides their tokens; empty asks for none"`
	ClientAuth   string `key:"client_auth" enum:"required|optional" default:"required" doc:"with client_ca_file: whether a client without a certificate is served; a bad one never is"`
}

// On reports whether the listeners encrypt.
func (t TLS) On() bool { return t.CertFile != "" }

// encrypted reports whether what goes over a listener on addr is safe from
// others: it stays on this machine, is encrypted, or somebody said that it need
// not be.
func (c *Config) encrypted(addr string) bool {
	return c.Dev || c.Insecure || loopbackAddr(addr) || c.TLS.On() || len(c.HTTP.TrustedProxies) > 0
}

// exposed is the problem of an address that is not.
func exposed(path string) Problem {
	return Problem{
		Path: path, Reason: "is reachable from other machines, and tokens would travel to it in the clear",
		Allowed: "a loopback address, or one of: a certificate, a proxy that is named, or your word that the network is trusted",
		Mend: "set tls.cert_file and tls.key_file; or http.trusted_proxies to the networks of the proxy that terminates TLS; " +
			"or insecure to true on a trusted network",
	}
}

// tlsRules keep tokens from travelling in the clear.
var tlsRules = []rule{
	{[]string{"dev", "addr", "insecure", "http.trusted_proxies", "tls.cert_file"}, true, func(c *Config) []Problem {
		return when(!c.encrypted(c.Addr), exposed("addr"))
	}},
	{[]string{"dev", "admin.addr", "insecure", "http.trusted_proxies", "tls.cert_file"}, true, func(c *Config) []Problem {
		return when(c.Admin.Addr != "" && !c.encrypted(c.Admin.Addr), exposed("admin.addr"))
	}},
	{[]string{"tls.cert_file", "tls.key_file"}, true, func(c *Config) []Problem {
		missing, other := "tls.key_file", "tls.cert_file"
		if c.TLS.CertFile == "" {
			missing, other = other, missing
		}
		return when((c.TLS.CertFile == "") != (c.TLS.KeyFile == ""), Problem{
			Path: missing, Reason: "is not set, but " + other + " is", Allowed: "both or none", Mend: "set " + missing + " or remove " + other,
		})
	}},
	{[]string{"tls.client_ca_file", "tls.cert_file"}, true, func(c *Config) []Problem {
		return when(c.TLS.ClientCAFile != "" && !c.TLS.On(), Problem{
			Path: "tls.client_ca_file", Reason: "has no effect without tls.cert_file", Allowed: "certificates of clients with one of the server",
			Mend: "set tls.cert_file and tls.key_file, or remove tls.client_ca_file",
		})
	}},
	{[]string{"tls.cert_file", "public_url"}, true, func(c *Config) []Problem {
		return when(c.TLS.On() && scheme(c.PublicURL) == "http", Problem{
			Path: "public_url", Reason: "is an http URL, and the listeners speak TLS", Allowed: "an https URL, or nothing",
			Mend: "write https, or remove tls.cert_file",
		})
	}},
}
