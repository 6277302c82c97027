package main

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inRoot runs a test where `make release` runs.
func inRoot(t *testing.T) { t.Chdir("../..") }

func TestABundlesTemplatePointsToItsArchives(t *testing.T) {
	inRoot(t)
	got, err := bundleTemplate("v1.2.3", "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	text := string(got)
	for _, want := range []string{"CodeUri: issue.zip", "CodeUri: rotate.zip", "SemanticVersion: 1.2.3", "AllowedValues: [x86_64]"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q occurs %d times, want once", want, strings.Count(text, want))
		}
	}
	for _, gone := range []string{"BuildMethod", "CodeUri: .\n", "GOARCH_LAMBDA"} {
		if strings.Contains(text, gone) {
			t.Errorf("%q was not removed", gone)
		}
	}
	if _, err := replaceOnce("aa", "a", "b"); err == nil {
		t.Error("a text that occurs twice was replaced")
	}
}

func TestAVersionThatIsNotSemanticIsRefused(t *testing.T) {
	for _, version := range []string{"", "1.2.3", "v1.2", "v1.2.3 ", "v1.2.3;x", "../v1.2.3"} {
		if err := release(t.Context(), version, t.TempDir()); err == nil ||
			!strings.Contains(err.Error(), "v1.2.3") {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestTheNotesOfAReleaseAreItsChangelogSection(t *testing.T) {
	t.Chdir(t.TempDir())
	log := "# Changes\n\n## v1.1.0 (2026-12-01)\n\n- new\n\n## v1.0.0\n\n- first\n\n## Unreleased\n\n- later\n"
	if err := os.WriteFile("CHANGELOG.md", []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]string{"v1.1.0": "- new\n", "v1.0.0": "- first\n", "v2.0.0-rc1": "- later\n"} {
		if got, err := changes(version); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", version, got, err, want)
		}
	}
	if _, err := changes("v2.0.0"); err == nil {
		t.Error("a version without changes was released")
	}
}

// An archive is the same whenever it is made, and keeps the permission to run a program.
func TestAnArchiveIsReproducible(t *testing.T) {
	files := map[string]file{"b": {[]byte("program"), true}, "a": {data: []byte("text")}}
	for name, pack := range map[string]func(string, map[string]file) ([]byte, error){"zip": zipOf, "tar": tarOf} {
		one, err := pack("folder", files)
		if err != nil {
			t.Fatal(err)
		}
		two, err := pack("folder", files)
		if err != nil || !bytes.Equal(one, two) {
			t.Errorf("%s: not the same twice, %v", name, err)
		}
	}
	data, err := zipOf("", files)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []os.FileMode{0o644, 0o755} {
		if got := z.File[i].Mode(); got != want {
			t.Errorf("%s has the mode %v, want %v", z.File[i].Name, got, want)
		}
	}
}

func TestTheChecksumsCoverEveryFile(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"one": "1", "two": "2"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := checksums(dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b  one\n" +
		"d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35  two\n"
	if string(got) != want {
		t.Errorf("got\n%s", got)
	}
}
