package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// mainPackage is what a bundle runs.
const mainPackage = "github.com/lyceum-mcp/lyceum/cmd/lyceum"

// file is one of a bundle.
type file struct {
	mode fs.FileMode
	data []byte
}

// bundles packs one bundle for each platform. The same programs, texts and
// version give the same bytes.
func (t *task) bundles(ctx context.Context) error {
	base, err := readManifest()
	if err != nil {
		return err
	}
	answers, err := os.ReadFile(t.tools)
	if err != nil {
		return err
	}
	tools, err := listedTools(answers)
	if err != nil {
		return fmt.Errorf("%s: %w", t.tools, err)
	}
	common := map[string]file{}
	for name, source := range map[string]string{"LICENSE": "LICENSE", "PRIVACY.md": "mcpb/PRIVACY.md", base.Icon: filepath.Join("mcpb", base.Icon)} {
		data, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		common[name] = file{0o644, data}
	}
	for _, p := range t.platforms {
		if err := t.bundle(ctx, p, base.fill(p, bundleVersion(t.version), tools), common); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}

func (t *task) bundle(ctx context.Context, p platform, m manifest, common map[string]file) error {
	path := filepath.Join(t.programs, p.String(), p.program())
	info, err := programInfo(path, p)
	if err != nil {
		return err
	}
	files := maps.Clone(common)
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	files[m.Server.EntryPoint] = file{0o755, program}
	notices, err := notices(ctx, p, info)
	if err != nil {
		return err
	}
	files["THIRD-PARTY-NOTICES.txt"] = file{0o644, notices}
	text, err := encode(m)
	if err != nil {
		return err
	}
	files["manifest.json"] = file{0o644, text}
	packed, err := pack(files)
	if err != nil {
		return err
	}
	name := filepath.Join(t.dir, p.bundle())
	if err := write(name, packed); err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "%s  %d bytes  sha256 %x\n", name, len(packed), sha256.Sum256(packed))
	return err
}

// programInfo says how the program at path was built: it must be ours, for p,
// and need nothing of the machine it runs on.
func programInfo(path string, p platform) (*buildinfo.BuildInfo, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	got := fmt.Sprintf("%s for %s-%s with CGO_ENABLED=%s", info.Path, settings["GOOS"], settings["GOARCH"], settings["CGO_ENABLED"])
	if want := fmt.Sprintf("%s for %s with CGO_ENABLED=0", mainPackage, p); got != want {
		return nil, fmt.Errorf("%s is %s, want %s", path, got, want)
	}
	return info, nil
}

// write replaces the file; the umask says who may read it.
func write(name string, data []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// packTime is what every file of a bundle is dated: the first moment that a zip
// archive can state.
var packTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// pack returns a zip archive of the files, in the order of their names.
func pack(files map[string]file) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: packTime}
		h.SetMode(files[name].mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(files[name].data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}
