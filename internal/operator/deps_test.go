package operator

import (
	"os/exec"
	"strings"
	"testing"
)

// The functions import no package that only the command needs.
func TestTheFunctionsContainNothingOfTheCommand(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "evertoken/functions/issue",
		"evertoken/functions/rotate").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 100 {
		t.Fatalf("go list names %d packages", len(packages))
	}
	for _, p := range packages {
		for _, not := range []string{
			"github.com/spf13/", "golang.org/x/term", "github.com/creack/pty", "evertoken/internal/operator",
			"github.com/aws/aws-sdk-go-v2/service/lambda", "github.com/aws/aws-sdk-go-v2/service/cloudformation",
		} {
			if strings.HasPrefix(p, not) {
				t.Errorf("a function imports %s", p)
			}
		}
	}
}
