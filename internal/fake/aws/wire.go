package fakeaws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// maxBody bounds a request body; the largest valid one, a 64 KiB binary secret
// in base64 with its envelope, stays well below.
const maxBody = 1 << 20

// apiError is an error answer of AWS.
type apiError struct{ code, message string }

func (e *apiError) Error() string { return e.code + ": " + e.message }

func refuse(code, format string, args ...any) error {
	return &apiError{code: code, message: fmt.Sprintf(format, args...)}
}

// errConnectionClosed means that the client gets no answer.
var errConnectionClosed = errors.New("connection closed")

// request is one decoded and validated request.
type request interface {
	// resources names the secrets or parameters the request is about.
	resources(st *state) []string
	// apply runs it on st, with the server's lock held. Writes are only ever
	// given the live state.
	apply(s *Server, st *state) (any, error)
}

// operation is one entry of the wire's operation table.
type operation struct {
	read bool // changes nothing, so it may be answered from an earlier state
	bind func(body []byte) (request, error)
}

func bind[T any, P interface {
	*T
	request
}](body []byte) (request, error) {
	in := new(T)
	if err := decode(body, in); err != nil {
		return nil, err
	}
	return P(in), nil
}

// operations maps X-Amz-Target to what it does.
var operations = map[string]operation{
	"secretsmanager.CreateSecret":             {bind: bind[createSecret]},
	"secretsmanager.PutSecretValue":           {bind: bind[putSecretValue]},
	"secretsmanager.UpdateSecret":             {bind: bind[updateSecret]},
	"secretsmanager.UpdateSecretVersionStage": {bind: bind[updateSecretVersionStage]},
	"secretsmanager.GetSecretValue":           {bind: bind[getSecretValue], read: true},
	"secretsmanager.BatchGetSecretValue":      {bind: bind[batchGetSecretValue], read: true},
	"secretsmanager.DescribeSecret":           {bind: bind[describeSecret], read: true},
	"secretsmanager.ListSecrets":              {bind: bind[listSecrets], read: true},
	"secretsmanager.ListSecretVersionIds":     {bind: bind[listSecretVersionIDs], read: true},
	"secretsmanager.DeleteSecret":             {bind: bind[deleteSecret]},
	"secretsmanager.RestoreSecret":            {bind: bind[restoreSecret]},
	"secretsmanager.GetResourcePolicy":        {bind: bind[getResourcePolicy], read: true},
	"secretsmanager.PutResourcePolicy":        {bind: bind[putResourcePolicy]},
	"secretsmanager.TagResource":              {bind: bind[tagResource]},
	"secretsmanager.UntagResource":            {bind: bind[untagResource]},
	"secretsmanager.RotateSecret":             {bind: bind[rotateSecret]},
	"secretsmanager.CancelRotateSecret":       {bind: bind[cancelRotateSecret]},
	"AmazonSSM.PutParameter":                  {bind: bind[putParameter]},
	"AmazonSSM.GetParameter":                  {bind: bind[getParameter], read: true},
	"AmazonSSM.GetParameters":                 {bind: bind[getParameters], read: true},
	"AmazonSSM.GetParametersByPath":           {bind: bind[getParametersByPath], read: true},
	"AmazonSSM.DeleteParameter":               {bind: bind[deleteParameter]},
	"AmazonSSM.DeleteParameters":              {bind: bind[deleteParameters]},
}

// signingName is the service name each target prefix is signed for.
var signingName = map[string]string{"secretsmanager": "secretsmanager", "AmazonSSM": "ssm"}

// receive checks the envelope of a request and decodes its body. The target is returned
// with an error too, if it is known.
func (s *Server) receive(r *http.Request) (target string, req request, err error) {
	target = r.Header.Get("X-Amz-Target")
	if r.Method != http.MethodPost || r.URL.Path != "/" {
		return target, nil, refuse("UnknownOperationException", "The request is not a POST to /.")
	}
	op, ok := operations[target]
	if !ok {
		return target, nil, refuse("UnknownOperationException", "The operation is not known.")
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
		media != "application/x-amz-json-1.1" {
		return target, nil, refuse("UnknownOperationException",
			"The content type is not application/x-amz-json-1.1.")
	}
	if err := s.checkSignature(r, target); err != nil {
		return target, nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return target, nil, refuse("SerializationException", "The request body could not be read.")
	}
	if len(body) > maxBody {
		return target, nil, refuse("RequestEntityTooLargeException", "The request body is too large.")
	}
	req, err = op.bind(body)
	return target, req, err
}

var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[^/\s]+/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,\s]+), ?Signature=[0-9a-f]{64}$`)

// checkSignature demands a signature of version 4 whose scope is this Region and
// the target's service. Any key is accepted: the signature's value is not
// recomputed.
func (s *Server) checkSignature(r *http.Request, target string) error {
	scope := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if scope == nil {
		return refuse("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	prefix, _, _ := strings.Cut(target, ".")
	if scope[2] != s.options.Region {
		return refuse("InvalidSignatureException", "Credential should be scoped to a valid region.")
	}
	if scope[3] != signingName[prefix] {
		return refuse("InvalidSignatureException",
			"Credential should be scoped to correct service: '%s'.", signingName[prefix])
	}
	if !strings.HasPrefix(r.Header.Get("X-Amz-Date"), scope[1]) {
		return refuse("InvalidSignatureException",
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
	}
	for _, header := range []string{"host", "x-amz-date"} {
		if !strings.Contains(";"+scope[4]+";", ";"+header+";") {
			return refuse("InvalidSignatureException",
				"'%s' must be a 'SignedHeader' in the AWS Authorization.", header)
		}
	}
	return nil
}

// decode reads one JSON object into in, a pointer to a struct, and validates it.
func decode(body []byte, in any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var raw any
	if err := decoder.Decode(&raw); err != nil || decoder.More() {
		return refuse("SerializationException", "The request body is not one JSON value.")
	}
	if _, ok := raw.(map[string]any); !ok {
		return refuse("SerializationException", "The request body is not a JSON object.")
	}
	if err := checkMembers(raw, reflect.TypeOf(in).Elem()); err != nil {
		return err
	}
	if err := json.Unmarshal(body, in); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			// The field, never the value: it may be a secret.
			return refuse("SerializationException", "The member %s has the wrong type.", wrong.Field)
		}
		return refuse("SerializationException", "The request body does not match the operation's input.")
	}
	return validate(reflect.ValueOf(in).Elem(), "")
}

// checkMembers refuses members that t does not have under exactly that name;
// encoding/json would accept them in any case of letters.
func checkMembers(raw any, t reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch value := raw.(type) {
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return nil // json.Unmarshal reports the wrong type
		}
		for name, member := range value {
			field, ok := t.FieldByName(name)
			if !ok || !field.IsExported() {
				return refuse("ValidationException", "The member %q is not known to this operation.", name)
			}
			if err := checkMembers(member, field.Type); err != nil {
				return err
			}
		}
	case []any:
		if t.Kind() != reflect.Slice {
			return nil
		}
		for _, element := range value {
			if err := checkMembers(element, t.Elem()); err != nil {
				return err
			}
		}
	}
	return nil
}

// timestamp is a time on the wire: seconds since 1970 with milliseconds. The zero time is
// omitted.
type timestamp time.Time

// MarshalJSON implements json.Marshaler.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", float64(time.Time(t).UnixMilli())/1000), nil
}

// IsZero makes the JSON option omitzero leave the zero time out.
func (t timestamp) IsZero() bool { return time.Time(t).IsZero() }

func answer(w http.ResponseWriter, status int, out any) {
	body, err := json.Marshal(out)
	if err != nil {
		panic("fakeaws: encoding an answer: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-RequestId", newUUID())
	w.WriteHeader(status)
	// A client that has disconnected gets no error.
	_, _ = w.Write(body)
}

// answerError writes an error answer. Secrets Manager names the text "Message"
// and the front end before it "message"; Parameter Store says "message".
func answerError(w http.ResponseWriter, target string, err error) {
	var refusal *apiError
	if !errors.As(err, &refusal) {
		panic("fakeaws: unexpected error: " + err.Error())
	}
	member := "message"
	if strings.HasPrefix(target, "secretsmanager.") && refusal.code != "ValidationException" &&
		refusal.code != "SerializationException" {
		member = "Message"
	}
	w.Header().Set("X-Amzn-ErrorType", refusal.code)
	answer(w, statusOf(refusal.code), map[string]string{"__type": refusal.code, member: refusal.message})
}

// statusOf follows the service models: every modelled error is a 400 but the
// service's own faults.
func statusOf(code string) int {
	switch {
	case strings.HasPrefix(code, "Internal"):
		return http.StatusInternalServerError
	case strings.HasPrefix(code, "ServiceUnavailable"):
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}
