package secrets_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func TestEveryCodeOfAWSHasItsKind(t *testing.T) {
	t.Parallel()
	tests := map[string]error{
		"ResourceNotFoundException": secrets.ErrNotFound,

		"AccessDeniedException": secrets.ErrDenied, "AccessDenied": secrets.ErrDenied, "UnrecognizedClientException": secrets.ErrDenied,
		"InvalidSignatureException": secrets.ErrDenied, "MissingAuthenticationToken": secrets.ErrDenied, "ExpiredTokenException": secrets.ErrDenied,
		"IncompleteSignature": secrets.ErrDenied,

		"DecryptionFailure": secrets.ErrKMS, "EncryptionFailure": secrets.ErrKMS, "KMSAccessDeniedException": secrets.ErrKMS,

		"ThrottlingException": secrets.ErrThrottled, "Throttling": secrets.ErrThrottled, "ThrottledException": secrets.ErrThrottled,
		"TooManyRequestsException": secrets.ErrThrottled, "RequestLimitExceeded": secrets.ErrThrottled,

		"ResourceExistsException": secrets.ErrConflict, "LimitExceededException": secrets.ErrVersionLimit, "InvalidRequestException": secrets.ErrDeleted,
		"InvalidParameterException": secrets.ErrRefused, "ValidationException": secrets.ErrRefused, "MalformedPolicyDocumentException": secrets.ErrRefused,
		"NobodyHasHeardOfThis": secrets.ErrRefused,

		"InternalServiceError": secrets.ErrTransient, "InternalServerError": secrets.ErrTransient, "ServiceUnavailable": secrets.ErrTransient, "RequestTimeout": secrets.ErrTransient,
	}
	for code, kind := range tests {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.secret("a", "v")
			w.Inject(&fakeaws.Fault{Code: code})
			_, err := w.store.Get(t.Context(), "a", secrets.Current)
			wantKind(t, err, kind)
			_, err = w.store.GetVersion(t.Context(), "a", secrets.FreshID())
			wantKind(t, err, kind)
			_, err = w.store.Describe(t.Context(), "a")
			wantKind(t, err, kind)
			_, err = w.store.VersionsSince(t.Context(), "a", time.Time{})
			wantKind(t, err, kind)
			_, err = w.store.Versions(t.Context(), "a")
			wantKind(t, err, kind)
			_, err = w.store.LastRotated(t.Context(), "a")
			wantKind(t, err, kind)
			wantKind(t, w.store.Put(t.Context(), "a", secrets.FreshID(), redact.New("v")), kind)
			// the fault names no resource: the whole call fails
			wantKind(t, w.store.Batch(t.Context(), []string{"a"})["a"].Err, kind)
		})
	}
}

func TestCodesThatMeanSomethingElseWhenALabelIsMoved(t *testing.T) {
	t.Parallel()
	for code, kind := range map[string]error{
		"InvalidParameterException": secrets.ErrLabelMoved,
		"InvalidRequestException":   secrets.ErrRefused,
		"LimitExceededException":    secrets.ErrVersionLimit,
		"ResourceNotFoundException": secrets.ErrNotFound,
	} {
		w := newWorld(t)
		w.secret("a", "v")
		w.Inject(&fakeaws.Fault{Code: code})
		wantKind(t, w.store.MoveLabel(t.Context(), "a", "L", secrets.FreshID(), ""), kind)
	}
}

func TestEveryCodeOfParameterStoreHasItsKind(t *testing.T) {
	t.Parallel()
	for code, kind := range map[string]error{
		"ParameterNotFound": secrets.ErrNotFound, "ParameterVersionNotFound": secrets.ErrNotFound,
		"AccessDeniedException": secrets.ErrDenied, "InvalidKeyId": secrets.ErrKMS,
		"ThrottlingException": secrets.ErrThrottled, "TooManyUpdates": secrets.ErrThrottled,
		"ParameterMaxVersionLimitExceeded": secrets.ErrVersionLimit, "ValidationException": secrets.ErrRefused, "ParameterLimitExceeded": secrets.ErrRefused,
		"InternalServerError": secrets.ErrTransient,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Inject(&fakeaws.Fault{Code: code})
			_, err := w.parameters.Get(t.Context(), "/a")
			wantKind(t, err, kind)
			_, err = w.parameters.ByPath(t.Context(), "/a/")
			wantKind(t, err, kind)
			wantKind(t, w.parameters.Batch(t.Context(), []string{"/a"})["/a"].Err, kind)
			wantKind(t, w.parameters.Put(t.Context(), "/a", "", redact.New("v")), kind)
			if kind == secrets.ErrNotFound {
				kind = nil
			}
			wantKind(t, w.parameters.Delete(t.Context(), "/a"), kind)
		})
	}
}

func TestAnUnknownFaultOfTheServiceIsTransient(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte(`{"__type":"Novelty","message":"arn:aws:secretsmanager:us-east-1:123456789012:secret:x"}`))
	}))
	t.Cleanup(server.Close)
	w := newWorld(t)
	c := w.AWSConfig()
	c.Retryer, c.BaseEndpoint = retryWithoutWaiting, aws.String(server.URL)
	_, err := secrets.NewStore(secretsmanager.NewFromConfig(c), nil).Get(t.Context(), "a", secrets.Current)
	wantKind(t, err, secrets.ErrTransient)
	if err.Error() != "GetSecretValue: Novelty: the service did not answer" {
		t.Errorf("text %q", err)
	}
}

func TestNoAnswerIsTransient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("a", "v")
	w.Inject(&fakeaws.Fault{Kind: fakeaws.DropBefore})
	_, err := w.store.Get(t.Context(), "a", secrets.Current)
	wantKind(t, err, secrets.ErrTransient)
	w.ClearFaults()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range []error{
		w.store.Put(ended, "a", secrets.FreshID(), redact.New("x")),
		w.store.MoveLabel(ended, "a", "L", "", secrets.FreshID()),
		w.store.Batch(ended, []string{"a"})["a"].Err,
		w.parameters.Put(ended, "/a", "", redact.New("x")),
	} {
		wantKind(t, err, secrets.ErrTransient)
		if e, ok := err.(*secrets.Error); !ok || e.Code != "NoTimeLeft" {
			t.Errorf("after the deadline: %v", err)
		}
	}
	if n := w.counted("PutSecretValue"); n != 0 {
		t.Errorf("%d puts after the deadline", n)
	}
}

func TestOnlyAPassingErrorIsRetried(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fault *fakeaws.Fault
		calls int
		kind  error
	}{
		{&fakeaws.Fault{Code: "LimitExceededException"}, 1, secrets.ErrVersionLimit},
		{&fakeaws.Fault{Code: "AccessDeniedException"}, 1, secrets.ErrDenied},
		{&fakeaws.Fault{Code: "ThrottlingException"}, 3, secrets.ErrThrottled},
		{&fakeaws.Fault{Code: "ThrottlingException", Times: 2}, 3, nil},
		{&fakeaws.Fault{Code: "InternalServiceError"}, 3, secrets.ErrTransient},
		{&fakeaws.Fault{Code: "InternalServiceError", Times: 1}, 2, nil},
		{&fakeaws.Fault{Kind: fakeaws.DropAfter, Times: 1}, 2, nil}, // the repetition finds its own work done
	}
	for _, tt := range tests {
		w := newWorld(t)
		w.secret("a", "v")
		w.Inject(tt.fault)
		wantKind(t, w.store.Put(t.Context(), "a", secrets.FreshID(), redact.New("new")), tt.kind)
		if got := w.counted("PutSecretValue"); got != tt.calls {
			t.Errorf("%s: %d calls, want %d", tt.fault.Code, got, tt.calls)
		}
	}
}

func TestOneRunNeverUsesUpItsRetries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("a", "v")
	w.Inject(&fakeaws.Fault{Operation: "GetSecretValue", Code: "ThrottlingException"})
	for range 300 { // the SDK's own quota would be spent after a hundred retries
		_, err := w.store.Get(t.Context(), "a", secrets.Current)
		wantKind(t, err, secrets.ErrThrottled)
	}
	w.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Code: "ThrottlingException", Times: 2})
	wantKind(t, w.store.Put(t.Context(), "a", secrets.FreshID(), redact.New("new")), nil)
}

func TestOnlyNilIsNoError(t *testing.T) {
	t.Parallel()
	if secrets.ErrorKind(nil) != secrets.NoError || secrets.ErrorKind(context.Canceled) != secrets.ErrTransient {
		t.Error("nil alone is no error")
	}
}
