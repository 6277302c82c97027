package providers

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryDocumentedHintIsInTheCode compares the hints that docs/providers.md prints, in
// italics, with the code. Where the code joins a hint from parts, … replaces what is
// between them.
func TestEveryDocumentedHintIsInTheCode(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	for _, pattern := range []string{"*.go", "../oauth/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				code.WriteString(readFile(t, file))
			}
		}
	}
	// A hint that is wrapped over several lines of code is one text.
	texts := regexp.MustCompile("[\"`] ?\\+\n\t*[\"`]").ReplaceAllString(code.String(), "")
	// bold, and names of hosts
	page := strings.NewReplacer("**", "", "`*.", "`").Replace(readFile(t, "../../docs/providers.md"))
	hints := regexp.MustCompile(`\*([^*\n]+)\*`).FindAllStringSubmatch(page, -1)
	if len(hints) < 30 {
		t.Errorf("only %d hints were found", len(hints))
	}
	for _, hint := range hints {
		for part := range strings.SplitSeq(hint[1], "…") {
			if part = strings.TrimSpace(part); !strings.Contains(texts, part) {
				t.Errorf("no such hint in the code: %s", part)
			}
		}
	}
}

// TestEveryProviderIsDocumented: the page has a section for every provider.
func TestEveryProviderIsDocumented(t *testing.T) {
	t.Parallel()
	page := readFile(t, "../../docs/providers.md")
	sections := map[string]string{
		"flexera": "## Flexera One\n", "flexnet": "## FlexNet Operations\n", "sharetribe": "## Sharetribe\n",
		"apiax": "## Apiax\n", "oauth2": "## Any other OAuth 2 provider\n",
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(constructors)),
		slices.Sorted(maps.Keys(sections))); diff != "" {
		t.Errorf("providers (-code +documented):\n%s", diff)
	}
	for name, heading := range sections {
		_, section, found := strings.Cut(page, "\n"+heading)
		section, _, _ = strings.Cut(section, "\n## ")
		for _, row := range []string{"| store |", "| get it |", "| access token |", "| network |",
			"| answer | class | hint |", "Sources: "} {
			if !found || !strings.Contains(section, row) {
				t.Errorf("%s: nothing is documented under %q", name, row)
			}
		}
	}
}

// TestEverySettingOfOAuth2IsDocumented: the page has every setting of oauth2, each client
// authentication and each grant.
func TestEverySettingOfOAuth2IsDocumented(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(readFile(t, "../../docs/providers.md"), "\n## Any other OAuth 2 provider\n")
	section, _, _ = strings.Cut(section, "\n## ")
	names := append(slices.Clone(authMethods), grants...)
	for field := range reflect.TypeFor[oauth2Settings]().Fields() {
		names = append(names, field.Tag.Get("json"))
	}
	for _, name := range names {
		if !strings.Contains(section, "`"+name+"`") {
			t.Errorf("not documented: %s", name)
		}
	}
}

// TestEveryVendorHostIsDocumented compares the page with the hosts to which a credential
// may go without being named.
func TestEveryVendorHostIsDocumented(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(readFile(t, "../../docs/providers.md"), "\n## Where a credential may go\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for provider := range constructors {
		want := "none: name the provider's host"
		var entries []string
		for _, e := range vendorHosts[provider] {
			entries = append(entries, "`"+e.String()+"`")
		}
		if len(entries) > 0 {
			want = strings.Join(entries, ", ")
		}
		if row := "| `" + provider + "` | " + want + " |\n"; !strings.Contains(section, row) {
			t.Errorf("not documented: %s", row)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
