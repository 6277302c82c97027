package fakeaws

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Limits of Parameter Store [botocore ssm PutParameter].
const (
	maxStandard          = 4096
	maxAdvanced          = 8192
	maxDepth             = 15
	maxNameLength        = 1011 // with the ARN before it
	maxParameterVersions = 100
	defaultParameterKey  = "alias/aws/ssm"
)

// parameter is never changed once it is in a state.
type parameter struct {
	name, arn, kind, tier, keyID, dataType string
	versions                               []parameterVersion // oldest first
}

type parameterVersion struct {
	number     int64
	value      string
	ciphertext string // what a SecureString shows without decryption
	modified   time.Time
}

func (p *parameter) latest() parameterVersion { return p.versions[len(p.versions)-1] }

type putParameter struct {
	Name           string  `required:"true" size:"1,2048"`
	Value          *string `required:"true"`
	Type           string  `oneOf:"String|StringList|SecureString"`
	Description    string  `size:"0,1024"`
	KeyId          string  `size:"1,256" pattern:"^([a-zA-Z0-9:/_-]+)$"`
	Overwrite      bool
	AllowedPattern string `size:"0,1024"`
	Tags           []tag  `size:"0,1000"`
	Tier           string `oneOf:"Standard|Advanced|Intelligent-Tiering"`
	DataType       string `oneOf:"text"`
}

func (in *putParameter) resources(*state) []string { return []string{strings.TrimSpace(in.Name)} }

// deletedFor is how long a deleted parameter's name cannot be used again: "After
// deleting a parameter, wait for at least 30 seconds to create a parameter with the
// same name" [botocore ssm DeleteParameter].
const deletedFor = 30 * time.Second

func (in *putParameter) apply(s *Server, st *state) (any, error) {
	name := strings.TrimSpace(in.Name)
	arn, err := s.checkParameterName(name)
	if err != nil {
		return nil, err
	}
	if err := in.checkValue(); err != nil {
		return nil, err
	}
	next := &parameter{name: name, arn: arn, kind: in.Type, dataType: "text"}
	old := st.parameters[name]
	switch {
	case old == nil && s.options.Now().Sub(s.removed[name]) < deletedFor:
		// No source says what AWS answers: this is the worst case for a client.
		return nil, refuse("InternalServerError", "The parameter was deleted a moment ago.")
	case old == nil && in.Type == "":
		return nil, refuse("ValidationException", "A parameter type is required when you create a parameter.")
	case old != nil && !in.Overwrite:
		return nil, refuse("ParameterAlreadyExists",
			"The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	case in.Overwrite && len(in.Tags) > 0:
		return nil, refuse("ValidationException",
			"Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	case old != nil && in.Type != "" && in.Type != old.kind:
		return nil, refuse("HierarchyTypeMismatchException",
			"Parameter Store doesn't support changing a parameter type in a hierarchy.")
	case old != nil:
		next.kind = old.kind
		next.versions = slices.Clone(old.versions)
	}
	if next.tier, err = in.chooseTier(old); err != nil {
		return nil, err
	}
	added := parameterVersion{number: 1, value: *in.Value, modified: st.now()}
	if old != nil {
		added.number = old.latest().number + 1
	}
	if err := in.encrypt(s, next, &added); err != nil {
		return nil, err
	}
	next.versions = append(next.versions, added)
	if len(next.versions) > maxParameterVersions {
		next.versions = slices.Delete(next.versions, 0, 1)
	}
	s.commitParameter(next)
	return struct {
		Version int64
		Tier    string
	}{added.number, next.tier}, nil
}

func (in *putParameter) checkValue() error {
	if *in.Value == "" {
		return violation("value", "Member must have length greater than or equal to 1")
	}
	if strings.Contains(*in.Value, "{{") {
		return refuse("ValidationException",
			"Parameter value can't nest another parameter. Do not use \"{{}}\" in the value.")
	}
	if in.AllowedPattern == "" {
		return nil
	}
	pattern, err := regexp.Compile(`^(?:` + in.AllowedPattern + `)$`)
	if err != nil {
		return refuse("InvalidAllowedPatternException",
			"The request doesn't meet the regular expression requirement.")
	}
	if !pattern.MatchString(*in.Value) {
		return refuse("ParameterPatternMismatchException",
			"Parameter value, cannot be validated against allowedPattern: %s", in.AllowedPattern)
	}
	return nil
}

// chooseTier decides the tier and with it the size allowed. An advanced parameter
// never becomes a standard one again.
func (in *putParameter) chooseTier(old *parameter) (string, error) {
	advanced := old != nil && old.tier == "Advanced"
	size := len(*in.Value)
	switch {
	case in.Tier == "Standard" && advanced:
		return "", refuse("ValidationException",
			"This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced parameter and recreate it as a standard parameter.")
	case in.Tier == "Advanced", in.Tier == "Intelligent-Tiering" && size > maxStandard:
		advanced = true
	}
	switch {
	case advanced && size > maxAdvanced:
		return "", refuse("ValidationException",
			"Advanced tier parameters support a maximum parameter value of 8192 characters.")
	case !advanced && size > maxStandard:
		return "", refuse("ValidationException",
			"Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier.")
	case advanced:
		return "Advanced", nil
	default:
		return "Standard", nil
	}
}

// encrypt chooses the key of a SecureString. Each put chooses its key: without KeyId it
// is the account's default key, even if an earlier put used another.
func (in *putParameter) encrypt(s *Server, next *parameter, added *parameterVersion) error {
	if next.kind != "SecureString" {
		if in.KeyId != "" {
			return refuse("ValidationException", "KeyId is required for SecureString type parameter only.")
		}
		return nil
	}
	if s.refusal(next.name).encrypt {
		return errParameterKey("GenerateDataKey")
	}
	next.keyID = in.KeyId
	if next.keyID == "" {
		next.keyID = defaultParameterKey
	}
	opaque := make([]byte, 96)
	rand.Read(opaque)
	added.ciphertext = "AQICAH" + base64.StdEncoding.EncodeToString(opaque)
	return nil
}

var (
	parameterName = regexp.MustCompile(`^(/[a-zA-Z0-9_.-]+)+$|^[a-zA-Z0-9_.-]+$`)
	reservedName  = regexp.MustCompile(`(?i)^/?(aws|ssm)`)
)

// checkParameterName returns the ARN of a name that may be written.
func (s *Server) checkParameterName(name string) (arn string, err error) {
	arn = "arn:aws:ssm:" + s.options.Region + ":" + s.options.Account + ":parameter/" + strings.TrimPrefix(name, "/")
	switch {
	case strings.Contains(name, "/") && !strings.HasPrefix(name, "/"):
		return "", refuse("ValidationException", "Parameter name must be a fully qualified name.")
	case strings.HasPrefix(strings.ToLower(name), "/aws") || strings.HasPrefix(strings.ToLower(name), "aws"):
		return "", refuse("AccessDeniedException", "No access to reserved parameter name: %s.", name)
	case reservedName.MatchString(name), !parameterName.MatchString(name):
		return "", refuse("ValidationException",
			"Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_")
	case strings.Count(name, "/") > maxDepth:
		return "", refuse("HierarchyLevelLimitExceededException",
			"A hierarchy can have a maximum of %d levels.", maxDepth)
	case len(arn) > maxNameLength:
		return "", refuse("ValidationException", "Parameter name exceeds the maximum length.")
	}
	return arn, nil
}

type deleteParameter struct {
	Name string `required:"true" size:"1,2048"`
}

func (in *deleteParameter) resources(*state) []string { return []string{strings.TrimSpace(in.Name)} }

func (in *deleteParameter) apply(s *Server, st *state) (any, error) {
	name := strings.TrimSpace(in.Name)
	if st.parameters[name] == nil {
		return nil, errNoParameter()
	}
	s.removeParameter(name)
	return struct{}{}, nil
}

func errNoParameter() error {
	return refuse("ParameterNotFound", "The parameter couldn't be found. Verify the name and try again.")
}

type deleteParameters struct {
	Names []string `required:"true" size:"1,10" each:"1,2048"`
}

func (in *deleteParameters) resources(*state) []string { return trimmed(in.Names) }

func (in *deleteParameters) apply(s *Server, st *state) (any, error) {
	out := struct{ DeletedParameters, InvalidParameters []string }{[]string{}, []string{}}
	for _, name := range trimmed(in.Names) {
		if st.parameters[name] == nil {
			out.InvalidParameters = append(out.InvalidParameters, name)
			continue
		}
		s.removeParameter(name)
		out.DeletedParameters = append(out.DeletedParameters, name)
	}
	return out, nil
}

func trimmed(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.TrimSpace(name)
	}
	return out
}
