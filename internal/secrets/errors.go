package secrets

import (
	"context"
	"errors"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// What a caller branches on. Each AWS error is one of these; see [Error].
var (
	// ErrNotFound: there is no such secret, version, label or parameter. The
	// service answers one code for all of these; Describe tells them apart.
	ErrNotFound = errors.New("not found")
	// ErrDenied: the role lacks the right, or a policy forbids it.
	ErrDenied = errors.New("access denied")
	// ErrKMS: the KMS key cannot be used.
	ErrKMS = errors.New("the KMS key cannot be used")
	// ErrThrottled: too many requests.
	ErrThrottled = errors.New("throttled")
	// ErrConflict: this version id is taken by another value.
	ErrConflict = errors.New("the version id is taken by another value")
	// ErrLabelMoved: the label is not where it was expected.
	ErrLabelMoved = errors.New("the label is not where it was expected")
	// ErrVersionLimit: the secret has 100 versions younger than 24 hours, or
	// 20 labels. It is no throttle: a retry does not help.
	ErrVersionLimit = errors.New("the secret has no room for another version or label")
	// ErrDeleted: the secret is marked for deletion.
	ErrDeleted = errors.New("the secret is marked for deletion")
	// ErrBinary: the value was stored as SecretBinary.
	ErrBinary = errors.New("the value is SecretBinary: store it as SecretString")
	// ErrRefused: the request cannot work as it is.
	ErrRefused = errors.New("the request was refused")
	// ErrTransient: the service or the network failed, or the answer was lost:
	// a write may have been applied.
	ErrTransient = errors.New("the service did not answer")
)

// Error is a failed call to AWS. Its text is the operation and AWS's error
// code: AWS's own messages hold ARNs and account numbers.
type Error struct {
	Kind error  // one of the sentinels above
	Op   string // the IAM action without its service
	Code string // AWS's error code, or our word where there was no answer
}

func (e *Error) Error() string { return e.Op + ": " + e.Code + ": " + e.Kind.Error() }

// Unwrap lets errors.Is find the sentinel.
func (e *Error) Unwrap() error { return e.Kind }

// kinds maps AWS's error codes (botocore model of both services) to ours.
// LimitExceededException is in the SDK's list of throttles, but here it means a
// full version or label quota.
var kinds = map[string]error{
	"ResourceNotFoundException":        ErrNotFound,
	"ParameterNotFound":                ErrNotFound,
	"ParameterVersionNotFound":         ErrNotFound,
	"AccessDeniedException":            ErrDenied,
	"AccessDenied":                     ErrDenied,
	"UnrecognizedClientException":      ErrDenied,
	"InvalidSignatureException":        ErrDenied,
	"MissingAuthenticationToken":       ErrDenied,
	"ExpiredTokenException":            ErrDenied,
	"IncompleteSignature":              ErrDenied,
	"DecryptionFailure":                ErrKMS,
	"EncryptionFailure":                ErrKMS,
	"InvalidKeyId":                     ErrKMS,
	"KMSAccessDeniedException":         ErrKMS,
	"ThrottlingException":              ErrThrottled,
	"Throttling":                       ErrThrottled,
	"ThrottledException":               ErrThrottled,
	"TooManyRequestsException":         ErrThrottled,
	"RequestLimitExceeded":             ErrThrottled,
	"TooManyUpdates":                   ErrThrottled,
	"ResourceExistsException":          ErrConflict,
	"InvalidParameterException":        ErrLabelMoved,
	"LimitExceededException":           ErrVersionLimit,
	"InternalServiceError":             ErrTransient,
	"InternalServerError":              ErrTransient,
	"ServiceUnavailable":               ErrTransient,
	"RequestTimeout":                   ErrTransient,
	"InvalidRequestException":          ErrDeleted,
	"ParameterMaxVersionLimitExceeded": ErrVersionLimit,
}

// fromCode makes an error from one of AWS's codes.
func fromCode(op, code string) error {
	kind, ok := kinds[code]
	switch {
	case !ok:
		kind = ErrRefused
	case kind == ErrLabelMoved && op != "UpdateSecretVersionStage":
		kind = ErrRefused // InvalidParameterException means the label only there
	case kind == ErrDeleted && op == "UpdateSecretVersionStage":
		kind = ErrRefused
	}
	return &Error{Kind: kind, Op: op, Code: code}
}

// classify scrubs an error of the SDK; nil stays nil.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		if _, known := kinds[api.ErrorCode()]; !known {
			if response, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && response.HTTPStatusCode() >= 500 {
				return &Error{Kind: ErrTransient, Op: op, Code: api.ErrorCode()}
			}
		}
		return fromCode(op, api.ErrorCode())
	}
	code := "NoAnswer"
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		code = "NoTimeLeft"
	}
	return &Error{Kind: ErrTransient, Op: op, Code: code}
}
