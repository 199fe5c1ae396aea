package main

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// serverFile is server.json without what only a release has: its version, and
// where its bundles are and what they hash to.
const serverFile = "server.json"

// serverDetail is what of the registry's server.json, schema 2025-12-11, ours has.
type serverDetail struct {
	Schema      string           `json:"$schema"`
	Name        string           `json:"name"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	WebsiteURL  string           `json:"websiteUrl"`
	Repository  serverRepository `json:"repository"`
	Version     string           `json:"version"`
	Packages    []serverPackage  `json:"packages,omitempty"`
	Remotes     []serverRemote   `json:"remotes,omitempty"`
}

type serverRepository struct {
	URL    string `json:"url"`
	Source string `json:"source"`
}

type serverPackage struct {
	RegistryType string          `json:"registryType"`
	Identifier   string          `json:"identifier"` // where it is downloaded
	Version      string          `json:"version"`
	FileSHA256   string          `json:"fileSha256"`
	Transport    serverTransport `json:"transport"`
}

type serverTransport struct {
	Type string `json:"type"`
}

type serverRemote struct {
	Type      string                    `json:"type"`
	URL       string                    `json:"url"`
	Variables map[string]serverVariable `json:"variables,omitempty"`
}

type serverVariable struct {
	Description string `json:"description"`
	IsRequired  bool   `json:"isRequired"`
	Placeholder string `json:"placeholder"`
}

// serverJSON writes the server.json of a release, with a package for each bundle.
func (t *task) serverJSON() error {
	version, err := releaseVersion(t.version)
	if err != nil {
		return err
	}
	var s serverDetail
	if err := readStrict(serverFile, &s); err != nil {
		return err
	}
	s.Version = version
	for _, p := range t.platforms {
		sum, err := bundleSum(filepath.Join(t.dir, p.bundle()), version)
		if err != nil {
			return err
		}
		s.Packages = append(s.Packages, serverPackage{
			RegistryType: "mcpb", Version: version, FileSHA256: sum, Transport: serverTransport{"stdio"},
			Identifier: s.Repository.URL + "/releases/download/v" + version + "/" + p.bundle(),
		})
	}
	text, err := encode(s)
	if err != nil {
		return err
	}
	name := filepath.Join(t.dir, serverFile)
	if err := write(name, text); err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "%s  version %s, %d bundles\n", name, version, len(s.Packages))
	return err
}

// bundleSum returns the SHA-256 of a bundle, which must be of that version.
func bundleSum(name, version string) (string, error) {
	r, err := zip.OpenReader(name)
	if err != nil {
		return "", fmt.Errorf("%w (make mcpb makes it)", err)
	}
	defer r.Close()
	f, err := r.Open("manifest.json")
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	defer f.Close()
	var m manifest
	if err := json.NewDecoder(f).Decode(&m); err != nil {
		return "", fmt.Errorf("%s: manifest.json: %w", name, err)
	}
	if m.Version != version {
		return "", fmt.Errorf("%s is of version %s, want %s (make mcpb VERSION=%s)", name, m.Version, version, version)
	}
	raw, err := os.ReadFile(name)
	return fmt.Sprintf("%x", sha256.Sum256(raw)), err
}
