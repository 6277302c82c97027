//go:build verify

package conformance

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
)

// TestMotoDiffersOnlyAsListed compares moto with the table. A difference that is not
// listed fails, and so does a listed one that no longer exists.
func TestMotoDiffersOnlyAsListed(t *testing.T) {
	t.Parallel()
	url := os.Getenv("EVERTOKEN_MOTO_URL")
	if url == "" {
		t.Fatal("EVERTOKEN_MOTO_URL is not set: verify/run.sh starts moto_server and sets it")
	}
	prefix := "evertoken-conformance/" + strings.ToLower(rand.Text()[:8])
	known := map[string]bool{}
	for n, f := range facts {
		if f.open { // moto is no witness of what AWS answers
			continue
		}
		known[f.name] = true
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			c := aws.Config{ // with the SDK's own retries: moto's server drops a connection now and then
				Region: "us-east-1", BaseEndpoint: &url,
				Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
			}
			got := f.see(t.Context(), newWorld(t, c, prefix, n))
			difference, listed := motoDiffers[f.name]
			switch {
			case !listed && got != f.want:
				t.Errorf("moto differs from AWS and is not listed:\n%s", cmp.Diff(f.want, got))
			case listed && got == f.want:
				t.Error("moto is listed as different and answers as AWS does: take it off the list")
			case listed && got != difference.got:
				t.Errorf("moto differs in another way than listed (-listed +moto):\n%s", cmp.Diff(difference.got, got))
			}
		})
	}
	for name := range motoDiffers {
		if !known[name] {
			t.Errorf("moto is listed as different in %q, which is not a fact", name)
		}
	}
}
