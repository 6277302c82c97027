// Command release builds a version's files into dist/: for each processor of Lambda a
// bundle with the functions and the templates, the command evertoken for each operating
// system, a bill of materials of each program, checksums and the version's part of the
// changelog. `make release` runs it.
//
// Everything is the same byte for byte wherever it is built from the same
// commit: paths are trimmed, archives have one fixed time and sorted entries.
package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	version := flag.String("version", "", "the version, as v1.2.3")
	out := flag.String("out", "dist", "the folder to build into; what is in it is removed first")
	flag.Parse()
	if err := release(context.Background(), *version, *out); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

var versionRE = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$`)

// lambdaArches are Lambda's processors, each in Go's word and in Lambda's.
var lambdaArches = map[string]string{"arm64": "arm64", "amd64": "x86_64"}

// platforms are those that the command is built for.
var platforms = []string{
	"darwin/amd64", "darwin/arm64", "linux/amd64", "linux/arm64", "windows/amd64", "windows/arm64",
}

func release(ctx context.Context, version, out string) error {
	if !versionRE.MatchString(version) {
		return fmt.Errorf("the version must be like v1.2.3: make release VERSION=v1.2.3")
	}
	notes, err := changes(version)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, goarch := range []string{"amd64", "arm64"} {
		if err := bundle(ctx, version, goarch, out); err != nil {
			return err
		}
	}
	for _, platform := range platforms {
		if err := command(ctx, version, platform, out); err != nil {
			return err
		}
	}
	if err := write(out, "CHANGES.md", []byte(notes)); err != nil {
		return err
	}
	return checksums(out)
}

// bundle is what one Lambda processor needs to be deployed with the AWS CLI
// alone.
func bundle(ctx context.Context, version, goarch, out string) error {
	name := "evertoken_" + version + "_lambda_" + lambdaArches[goarch]
	template, err := bundleTemplate(version, lambdaArches[goarch])
	if err != nil {
		return err
	}
	files := map[string]file{"template.yaml": {data: template}}
	for _, path := range []string{"connection.yaml", "LICENSE", "README.md"} {
		if files[path], err = read(path); err != nil {
			return err
		}
	}
	for _, function := range functions {
		binary, sbom, err := build(ctx, "linux", goarch, "./functions/"+function)
		if err != nil {
			return err
		}
		if err := write(out, name+"_"+function+".cdx.json", sbom); err != nil {
			return err
		}
		// Zipped here, since a zip made on Windows would lose the permission to run it.
		zipped, err := zipOf("", map[string]file{"bootstrap": {binary, true}})
		if err != nil {
			return err
		}
		files[function+".zip"] = file{data: zipped}
	}
	archive, err := zipOf(name, files)
	if err != nil {
		return err
	}
	return write(out, name+".zip", archive)
}

// command is the command evertoken for one operating system and processor.
func command(ctx context.Context, version, platform, out string) error {
	goos, goarch, _ := strings.Cut(platform, "/")
	name := "evertoken_" + version + "_" + goos + "_" + goarch
	binary, sbom, err := build(ctx, goos, goarch, "./cmd/evertoken")
	if err != nil {
		return err
	}
	if err := write(out, name+".cdx.json", sbom); err != nil {
		return err
	}
	license, err := read("LICENSE")
	if err != nil {
		return err
	}
	program := "evertoken"
	pack, ending := tarOf, ".tar.gz"
	if goos == "windows" {
		program, pack, ending = "evertoken.exe", zipOf, ".zip"
	}
	archive, err := pack(name, map[string]file{program: {binary, true}, "LICENSE": license})
	if err != nil {
		return err
	}
	return write(out, name+ending, archive)
}

func write(folder, name string, data []byte) error {
	return os.WriteFile(filepath.Join(folder, name), data, 0o644)
}

func read(path string) (file, error) {
	data, err := os.ReadFile(path)
	return file{data: data}, err
}

// changes is the version's section of CHANGELOG.md, without its heading. For a version
// before a release (v1.2.3-rc1) it is the section of what is not released yet.
func changes(version string) (string, error) {
	log, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return "", err
	}
	heading := "## " + version
	if strings.Contains(version, "-") {
		heading = "## Unreleased"
	}
	_, section, found := strings.Cut(string(log), "\n"+heading)
	if !found {
		return "", fmt.Errorf("CHANGELOG.md has no section %q: rename \"Unreleased\" to it", heading)
	}
	_, section, _ = strings.Cut(section, "\n") // the rest of the heading: a date
	section, _, _ = strings.Cut(section, "\n## ")
	return strings.TrimSpace(section) + "\n", nil
}

// checksums writes SHA256SUMS over all files of the folder, in the form that `sha256sum
// --check` reads.
func checksums(out string) error {
	entries, err := os.ReadDir(out)
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(out, e.Name()))
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(data), e.Name()))
	}
	slices.Sort(lines)
	return write(out, "SHA256SUMS", []byte(strings.Join(lines, "")))
}
