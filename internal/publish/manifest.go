package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

// manifestFile is the manifest without what differs between bundles.
const manifestFile = "mcpb/manifest.json"

// manifest is what of the MCPB manifest, version 0.4, the bundles have.
type manifest struct {
	ManifestVersion string                `json:"manifest_version"`
	Name            string                `json:"name"`
	DisplayName     string                `json:"display_name"`
	Version         string                `json:"version"`
	Description     string                `json:"description"`
	LongDescription string                `json:"long_description"`
	Author          author                `json:"author"`
	Repository      sourceTree            `json:"repository"`
	Homepage        string                `json:"homepage"`
	Documentation   string                `json:"documentation"`
	Support         string                `json:"support"`
	Icon            string                `json:"icon"`
	License         string                `json:"license"`
	PrivacyPolicies []string              `json:"privacy_policies"`
	Keywords        []string              `json:"keywords"`
	Server          server                `json:"server"`
	Tools           []tool                `json:"tools"`
	ToolsGenerated  bool                  `json:"tools_generated"`
	UserConfig      map[string]userOption `json:"user_config"`
	Compatibility   compatibility         `json:"compatibility"`
}

type author struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

type sourceTree struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type server struct {
	Type       string    `json:"type"`
	EntryPoint string    `json:"entry_point"`
	MCPConfig  mcpConfig `json:"mcp_config"`
}

type mcpConfig struct {
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env"`
}

type tool struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

type userOption struct {
	Type        string  `json:"type"`
	Title       string  `json:"title"`
	Description string  `json:"description"`
	Required    bool    `json:"required"`
	Default     *string `json:"default,omitempty"` // absent and empty differ: hosts leave a placeholder without a default as it is
	Sensitive   bool    `json:"sensitive,omitempty"`
}

type compatibility struct {
	Platforms []string `json:"platforms"`
}

// platform is one that programs are built for.
type platform struct{ os, arch string }

// hostNames are the systems that we publish for, as MCPB has them.
var hostNames = map[string]string{"linux": "linux", "darwin": "darwin", "windows": "win32"}

func parsePlatform(text string) (platform, error) {
	for system := range hostNames {
		for _, arch := range []string{"amd64", "arm64"} {
			if text == system+"/"+arch {
				return platform{system, arch}, nil
			}
		}
	}
	return platform{}, fmt.Errorf("platform %q: want linux, darwin or windows, a slash, and amd64 or arm64", text)
}

func (p platform) String() string { return p.os + "-" + p.arch }

// program is the name of the file that is built for p.
func (p platform) program() string {
	if p.os == "windows" {
		return "lyceum.exe"
	}
	return "lyceum"
}

// bundle is the name of the file that is published for p.
func (p platform) bundle() string { return "lyceum-" + p.String() + ".mcpb" }

// readManifest returns the manifest that all bundles begin with.
func readManifest() (manifest, error) {
	var m manifest
	err := readStrict(manifestFile, &m)
	return m, err
}

// fill returns m for a bundle.
func (m manifest) fill(p platform, version string, tools []tool) manifest {
	m.Version, m.Tools = version, tools
	m.Compatibility.Platforms = []string{hostNames[p.os]}
	m.Server.EntryPoint = "server/" + p.program()
	m.Server.MCPConfig.Command = "${__dirname}/" + m.Server.EntryPoint
	return m
}

// readStrict decodes a file that has no member which into does not know: a new
// one must not get lost on the way to what is published.
func readStrict(name string, into any) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// encode writes v as people read it.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}
