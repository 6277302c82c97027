package fakeaws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	fakeaws "evertoken/internal/fake/aws"
	fakeclock "evertoken/internal/fake/clock"
)

// world is a server with the real clients on it.
type world struct {
	*fakeaws.Server
	clock *fakeclock.Clock
	sm    *secretsmanager.Client
	ssm   *ssm.Client
}

func newWorld(t *testing.T, options fakeaws.Options) *world {
	t.Helper()
	c := fakeclock.New(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	options.Now = c.Now
	s, err := fakeaws.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	config := s.AWSConfig()
	config.RetryMaxAttempts = 1 // each call is one request
	return &world{s, c, secretsmanager.NewFromConfig(config), ssm.NewFromConfig(config)}
}

// id makes a version id of 32 characters out of a short name.
func id(name string) *string {
	return aws.String(name + strings.Repeat("-", 32-len(name)))
}

// code is the error code of an answer, "" for success and "no answer" for none.
func code(err error) string {
	var refusal smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refusal):
		return refusal.ErrorCode()
	default:
		return "no answer"
	}
}

func message(err error) string {
	var refusal smithy.APIError
	if errors.As(err, &refusal) {
		return refusal.ErrorMessage()
	}
	return ""
}

func check(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (w *world) put(ctx context.Context, secret, version, value string, stages ...string) error {
	_, err := w.sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &secret, ClientRequestToken: id(version), SecretString: &value, VersionStages: stages,
	})
	return err
}

// stage calls UpdateSecretVersionStage; an empty from or to is omitted.
func (w *world) stage(ctx context.Context, secret, label, from, to string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &secret, VersionStage: &label}
	if from != "" {
		in.RemoveFromVersionId = id(from)
	}
	if to != "" {
		in.MoveToVersionId = id(to)
	}
	_, err := w.sm.UpdateSecretVersionStage(ctx, in)
	return err
}

// get reads a value, or with an error its code.
func (w *world) get(ctx context.Context, secret, stage string) string {
	out, err := w.sm.GetSecretValue(ctx,
		&secretsmanager.GetSecretValueInput{SecretId: &secret, VersionStage: &stage})
	if err != nil {
		return code(err)
	}
	return *out.SecretString
}

// labels describes the versions of a secret as "v1:AWSCURRENT+X v2:".
func (w *world) labels(secret string) string {
	var versions []string
	for _, v := range w.Secret(secret).Versions {
		versions = append(versions, strings.TrimRight(v.ID, "-")+":"+strings.Join(v.Labels, "+"))
	}
	return strings.Join(versions, " ")
}

// empty makes a secret without a value.
func (w *world) empty(name string) { w.CreateSecret(name, nil, nil) }

// raw sends a body with the headers of a signed request, changed by edit.
func (w *world) raw(t *testing.T, target, body string, edit func(*http.Request)) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL()+"/", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	service := "secretsmanager"
	if strings.HasPrefix(target, "AmazonSSM") {
		service = "ssm"
	}
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Date", "20261121T120000Z")
	r.Header.Set("Authorization",
		fmt.Sprintf("AWS4-HMAC-SHA256 Credential=AKID/20261121/us-east-1/%s/aws4_request, SignedHeaders=host;x-amz-date, Signature=%064x", service, 1))
	if edit != nil {
		edit(r)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
