//go:build conformance_aws

package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
)

// TestConformanceAWS checks a real account, with the credentials that the SDK finds: the
// facts that cost next to nothing, and the open questions, whose answers it reports. All
// it makes has names that begin with evertoken-conformance/ and is removed at the end,
// the KMS key after the seven days that KMS insists on (EVERTOKEN_CONFORMANCE_KMS=0 makes
// none).
func TestConformanceAWS(t *testing.T) {
	if os.Getenv("EVERTOKEN_CONFORMANCE_AWS") != "1" {
		t.Fatal("set EVERTOKEN_CONFORMANCE_AWS=1: this creates and deletes secrets and parameters in the AWS account of your credentials")
	}
	c, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.Region == "" {
		t.Fatal("no Region is configured: set AWS_REGION")
	}
	var calls atomic.Int64
	c.APIOptions = append(c.APIOptions, count(&calls))
	prefix := "evertoken-conformance/" + strings.ToLower(rand.Text()[:8])
	asked := 0
	for n, f := range facts {
		if !f.real {
			continue
		}
		asked++
		t.Run(f.name, func(t *testing.T) {
			w := newWorld(t, c, prefix, n)
			if os.Getenv("EVERTOKEN_CONFORMANCE_KMS") != "0" {
				w.keyed = func(ctx context.Context, w *world) error { return keyed(ctx, t, c, w) }
			}
			got := f.see(t.Context(), w)
			if f.open {
				t.Logf("OPEN QUESTION: %s?\n  AWS:          %s\n  fake assumes: %s", f.name, got, f.want)
				return
			}
			if diff := cmp.Diff(f.want, got); diff != "" {
				t.Errorf("%s (-want +AWS):\n%s", f.source, diff)
			}
		})
	}
	if asked == 0 || calls.Load() == 0 {
		t.Fatal("no fact was checked")
	}
	t.Logf("%d facts, %d calls", asked, calls.Load())
}

// count counts the operations called.
func count(calls *atomic.Int64) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("count",
			func(ctx context.Context, in middleware.InitializeInput,
				next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				calls.Add(1)
				return next.HandleInitialize(ctx, in)
			}), middleware.Before)
	}
}

// keyed makes the secret with version v1 under a new KMS key, disables the key and waits
// until it affects Secrets Manager.
func keyed(ctx context.Context, t *testing.T, c aws.Config, w *world) error {
	k := kms{c}
	key, err := k.create(ctx)
	if err != nil {
		return err
	}
	t.Cleanup(func() {
		if err := k.remove(context.WithoutCancel(ctx), key); err != nil {
			t.Errorf("the KMS key of this test was not deleted: %v", err)
		}
	})
	_, err = w.sm.CreateSecret(ctx,
		&secretsmanager.CreateSecretInput{Name: &w.secret, KmsKeyId: &key,
			ClientRequestToken: id("v1"), SecretString: aws.String("one")})
	if err != nil {
		return err
	}
	if err := k.disable(ctx, key); err != nil {
		return err
	}
	// A change of a key's state takes effect within minutes:
	// docs.aws.amazon.com/kms/latest/developerguide/programming-eventual-consistency.html
	for n := range 60 {
		if err := w.put(ctx, fmt.Sprintf("probe%d", n), "probe", "PROBE"); err != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Second):
		}
	}
	return errors.New("the disabled key still encrypts after five minutes")
}
