package operator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"evertoken/internal/secrets"
)

// callTimeout ends one try of a call to AWS.
const callTimeout = 10 * time.Second

var (
	errConfiguration = errors.New("the AWS configuration cannot be read")
	errRegion        = errors.New("no AWS Region is set")
	errCredentials   = errors.New("no usable AWS credentials were found")
)

// refused turns an error of AWS into a failure that a person can act on: the action,
// the resource and what to do. It drops AWS's own message, which can contain ARNs.
// action is the IAM action, such as secretsmanager:GetSecretValue. nil stays nil.
func refused(err error, action, resource string) error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	on := action + " on " + resource
	switch code := awsCode(err); {
	case errors.Is(err, context.Canceled):
		return &failure{exitAWS, fmt.Errorf("interrupted during %s: %w", on, errInterrupted), ""}
	case code == "NoAnswer" || code == "NoTimeLeft" || code == "":
		return &failure{exitAWS, fmt.Errorf("AWS did not answer %s: %s", on, network(err)),
			"Check the network, the proxy and the Region's name, then run this again."}
	case expired[code]:
		return &failure{exitAWS, fmt.Errorf("AWS does not accept these credentials (%s: %s)", on, code),
			"They may have expired, or belong to another partition. " +
				"Sign in again (`aws sso login`), or give --profile."}
	case denied(code):
		return &failure{exitAWS, fmt.Errorf("you lack the right %s (%s)", on, code), keyToo(action)}
	case throttles[code]:
		return &failure{exitAWS, fmt.Errorf("AWS asks for fewer requests (%s: %s)", on, code),
			"Run this again in a minute."}
	}
	return &failure{exitAWS, fmt.Errorf("AWS refused %s: %s", on, awsCode(err)),
		afterCode(awsCode(err), action)}
}

// afterCode says what to do about an error code that has no case of its own.
func afterCode(code, action string) string {
	switch {
	case action == "ssm:PutParameter" && code == "InternalServerError":
		return "Parameter Store accepts a deleted name again after half a minute. " +
			"If this parameter was deleted a moment ago, wait half a minute and run this again."
	case code == "ResourceNotFoundException", code == "ParameterNotFound":
		return "It does not exist in this Region and account. Check --region and --profile."
	case strings.HasPrefix(code, "Internal"), strings.HasPrefix(code, "ServiceUnavailable"):
		return "Run this again in a minute. If it lasts, see https://health.aws.amazon.com."
	case code == "InvalidRequestException":
		return "The secret may be marked for deletion, or managed by another service: " +
			"`aws secretsmanager describe-secret` shows it."
	case code == "LimitExceededException", code == "ParameterLimitExceeded":
		return "The account has reached a quota of AWS: see the console, Service Quotas."
	}
	service, call, _ := strings.Cut(action, ":")
	return "Look this code up in the AWS documentation of " + call + " (" + service + ")."
}

// keyToo names the right to ask for. AWS answers with the same code where only the
// right to the KMS key is missing, so that right is named too.
func keyToo(action string) string {
	const next = "Ask for that right, or give a --profile that has it."
	switch action {
	case "secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "ssm:GetParameter":
		return next + " With a KMS key of your own, you also need kms:Decrypt on it."
	case "secretsmanager:PutSecretValue", "secretsmanager:CreateSecret":
		return next + " With a KMS key of your own, you also need kms:GenerateDataKey and " +
			"kms:Decrypt on it."
	}
	return next
}

var expired = map[string]bool{
	"ExpiredToken": true, "ExpiredTokenException": true, "RequestExpired": true,
	"UnrecognizedClientException": true, "InvalidClientTokenId": true,
	"InvalidSignatureException": true, "SignatureDoesNotMatch": true,
	"MissingAuthenticationToken": true, "MissingAuthenticationTokenException": true,
	"IncompleteSignature": true,
}

var throttles = map[string]bool{
	"ThrottlingException": true, "Throttling": true, "ThrottledException": true,
	"TooManyRequestsException": true, "RequestLimitExceeded": true, "TooManyUpdates": true,
}

// denied reports whether a right is missing, of the call or of the KMS key.
func denied(code string) bool {
	return strings.HasPrefix(code, "AccessDenied") || strings.HasPrefix(code, "KMSAccessDenied") ||
		code == "UnauthorizedOperation" || code == "DecryptionFailure" || code == "EncryptionFailure"
}

// awsCode is AWS's error code, or "" where there was no answer.
func awsCode(err error) string {
	if e, ok := errors.AsType[*secrets.Error](err); ok {
		return e.Code
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// network says why there was no answer.
func network(err error) string {
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &dns):
		return "the host " + dns.Name + " is not known"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it took too long"
	}
	return "no connection"
}

// missing reports whether AWS says that a resource does not exist.
func missing(err error) bool {
	switch awsCode(err) {
	case "ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound":
		return true
	}
	return false
}
