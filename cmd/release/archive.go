package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// file is one entry of an archive.
type file struct {
	data []byte
	run  bool // it can be run
}

func (f file) mode() os.FileMode {
	if f.run {
		return 0o755
	}
	return 0o644
}

// stamp is the time of every entry: the earliest that a zip can write.
var stamp = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// zipOf packs files under one folder, "" for none.
func zipOf(folder string, files map[string]file) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &zip.FileHeader{Name: path.Join(folder, name), Method: zip.Deflate, Modified: stamp}
		h.SetMode(files[name].mode())
		w, err := z.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name].data); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

// tarOf packs files under one folder, compressed.
func tarOf(folder string, files map[string]file) ([]byte, error) {
	var b bytes.Buffer
	g := gzip.NewWriter(&b) // its header has no time and no name
	t := tar.NewWriter(g)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: path.Join(folder, name), Size: int64(len(f.data)),
			Mode: int64(f.mode()), ModTime: stamp, Format: tar.FormatUSTAR,
		}
		if err := t.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := t.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	err := g.Close()
	return b.Bytes(), err
}

// build compiles one program as the Makefile does: static, without paths, symbols and
// debug tables. Go stamps the commit and its tag into it. It returns the bill of
// materials too.
func build(ctx context.Context, goos, goarch, what string) (program, sbom []byte, err error) {
	folder, err := os.MkdirTemp("", "evertoken-release-")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary := filepath.Join(folder, "program")
	c := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-trimpath",
		"-ldflags", "-s -w", "-o", binary, what)
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOFLAGS=")
	if out, err := c.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("building %s for %s/%s: %w\n%s", what, goos, goarch, err, out)
	}
	if sbom, err = materials(ctx, binary); err != nil {
		return nil, nil, err
	}
	program, err = os.ReadFile(binary)
	return program, sbom, err
}
