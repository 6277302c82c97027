package secrets

import (
	"context"
	"errors"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Kind is what a caller decides by. It is an error only so that errors.Is finds it in an
// [Error].
type Kind string

func (k Kind) Error() string { return string(k) }

// Each AWS error is one of these; see [Error].
const (
	// NoError is the kind of no error at all.
	NoError Kind = ""
	// ErrNotFound: there is no such secret, version, label or parameter. The
	// service answers one code for all of these; Describe tells them apart.
	ErrNotFound Kind = "not found"
	// ErrDenied: the role lacks the right, or a policy forbids it.
	ErrDenied Kind = "access denied"
	// ErrKMS: the KMS key cannot be used.
	ErrKMS Kind = "the KMS key cannot be used"
	// ErrThrottled: too many requests.
	ErrThrottled Kind = "throttled"
	// ErrConflict: a version with this id and another value exists.
	ErrConflict Kind = "the version id is taken by another value"
	// ErrLabelMoved: another version has the label than the caller named.
	ErrLabelMoved Kind = "the label is not where it was expected"
	// ErrVersionLimit: the secret has 100 versions younger than 24 hours, or
	// 20 labels. It is not a throttle: a retry does not help.
	ErrVersionLimit Kind = "the secret has no room for another version or label"
	// ErrDeleted: the secret is marked for deletion.
	ErrDeleted Kind = "the secret is marked for deletion"
	// ErrBinary: the value was stored as SecretBinary.
	ErrBinary Kind = "the value is SecretBinary: store it as SecretString"
	// ErrRefused: the request cannot work as it is.
	ErrRefused Kind = "the request was refused"
	// ErrTransient: the service or the network failed, or the answer was lost:
	// a write may have been applied.
	ErrTransient Kind = "the service did not answer"
)

// Error is a failed call to AWS. Its text is the operation and AWS's error
// code: AWS's own messages hold ARNs and account numbers.
type Error struct {
	Kind Kind   // one of the above
	Op   string // the IAM action without its service
	Code string // AWS's error code, or a word of ours if there was no answer
}

func (e *Error) Error() string { return e.Op + ": " + e.Code + ": " + e.Kind.Error() }

// Unwrap lets errors.Is find the sentinel.
func (e *Error) Unwrap() error { return e.Kind }

// kinds maps AWS's error codes (botocore model of both services) to ours.
// LimitExceededException is in the SDK's list of throttles, but here it means a
// full version or label quota.
var kinds = map[string]Kind{
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

// classify makes an [Error] of the SDK's error, without AWS's text; nil stays nil.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		if _, known := kinds[api.ErrorCode()]; !known {
			response, ok := errors.AsType[*smithyhttp.ResponseError](err)
			if ok && response.HTTPStatusCode() >= 500 {
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
