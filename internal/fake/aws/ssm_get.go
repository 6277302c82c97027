package fakeaws

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// shown is a parameter on the wire.
type shown struct {
	ARN              string
	DataType         string
	LastModifiedDate timestamp
	Name             string
	Selector         string `json:",omitempty"`
	Type             string
	Value            string
	Version          int64
}

// split separates the selector from a name or an ARN: "name:3" is version 3.
func split(id string) (name, selector string) {
	name = strings.TrimSpace(id)
	if strings.HasPrefix(name, "arn:") {
		parts := strings.SplitN(name, ":", 6)
		if len(parts) < 6 || !strings.HasPrefix(parts[5], "parameter/") {
			return name, ""
		}
		name = strings.TrimPrefix(parts[5], "parameter")
	}
	name, selector, found := strings.Cut(name, ":")
	if found {
		selector = ":" + selector
	}
	return name, selector
}

// parameter finds a parameter by name or ARN; the ARN of "name" and of "/name"
// is the same.
func (st *state) parameter(id string) (p *parameter, selector string) {
	name, selector := split(id)
	if p = st.parameters[name]; p == nil && strings.HasPrefix(strings.TrimSpace(id), "arn:") {
		p = st.parameters[strings.TrimPrefix(name, "/")]
	}
	return p, selector
}

func (st *state) parameterName(id string) string {
	if p, _ := st.parameter(id); p != nil {
		return p.name
	}
	name, _ := split(id)
	return name
}

// show reads one parameter as a client asked for it.
func (s *Server) show(st *state, id string, decrypt bool) (*shown, error) {
	p, selector := st.parameter(id)
	if p == nil {
		return nil, errNoParameter()
	}
	v := p.latest()
	if selector != "" {
		number, err := strconv.ParseInt(selector[1:], 10, 64)
		at := slices.IndexFunc(p.versions, func(v parameterVersion) bool { return v.number == number })
		if err != nil || at < 0 {
			return nil, refuse("ParameterVersionNotFound",
				"Systems Manager could not find version %s of %s. Verify the version and try again.", selector[1:], p.name)
		}
		v = p.versions[at]
	}
	out := &shown{ARN: p.arn, DataType: p.dataType, LastModifiedDate: timestamp(v.modified),
		Name: p.name, Selector: selector, Type: p.kind, Value: v.value, Version: v.number}
	if p.kind == "SecureString" {
		if !decrypt {
			out.Value = v.ciphertext
		} else if s.refusal(p.name).decrypt {
			return nil, errParameterKey("Decrypt")
		}
	}
	return out, nil
}

type getParameter struct {
	Name           string `required:"true" size:"1,2048"`
	WithDecryption bool
}

func (in *getParameter) resources(st *state) []string { return []string{st.parameterName(in.Name)} }

func (in *getParameter) apply(s *Server, st *state) (any, error) {
	out, err := s.show(st, in.Name, in.WithDecryption)
	if err != nil {
		return nil, err
	}
	return struct{ Parameter *shown }{out}, nil
}

type getParameters struct {
	Names          []string `required:"true" size:"1,10" each:"1,2048"`
	WithDecryption bool
}

func (in *getParameters) resources(st *state) []string {
	var names []string
	for _, id := range in.Names {
		names = append(names, st.parameterName(id))
	}
	return names
}

func (in *getParameters) apply(s *Server, st *state) (any, error) {
	out := struct {
		Parameters        []*shown
		InvalidParameters []string
	}{[]*shown{}, []string{}}
	for _, id := range in.Names {
		found, err := s.show(st, id, in.WithDecryption)
		var refusal *apiError
		switch {
		case err == nil:
			out.Parameters = append(out.Parameters, found)
		case errors.As(err, &refusal) && refusal.code == "AccessDeniedException":
			return nil, err
		default:
			out.InvalidParameters = append(out.InvalidParameters, id)
		}
	}
	slices.SortFunc(out.Parameters, func(a, b *shown) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

type getParametersByPath struct {
	Path             string `required:"true" size:"1,2048"`
	Recursive        bool
	ParameterFilters []parameterFilter `size:"0,10"`
	WithDecryption   bool
	MaxResults       *int64 `between:"1,10"`
	NextToken        string
}

type parameterFilter struct {
	Key    string   `required:"true" oneOf:"Type|KeyId|Label"`
	Option string   `oneOf:"Equals|BeginsWith"`
	Values []string `size:"1,50" each:"1,1024"`
}

// fits reports whether p passes f. No parameter here has a label.
func (f parameterFilter) fits(p *parameter) bool {
	text := map[string]string{"Type": p.kind, "KeyId": p.keyID}[f.Key]
	return slices.ContainsFunc(f.Values, func(wanted string) bool {
		if f.Option == "BeginsWith" {
			return text != "" && strings.HasPrefix(text, wanted)
		}
		return text == wanted
	})
}

func (in *getParametersByPath) resources(*state) []string {
	return []string{strings.TrimSpace(in.Path)}
}

// pathToken is what a NextToken of GetParametersByPath holds. It fits only the
// request it came from.
type pathToken struct {
	Path      string
	Recursive bool
	Page      int
	After     string // name of the last parameter given
}

func (in *getParametersByPath) apply(s *Server, st *state) (any, error) {
	path := strings.TrimSpace(in.Path)
	if !strings.HasPrefix(path, "/") {
		return nil, refuse("ValidationException",
			"The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\". It can't be prefixed with \"aws\" or \"ssm\" (case-insensitive).")
	}
	token, err := in.token(path)
	if err != nil {
		return nil, err
	}
	names := in.below(st, strings.TrimSuffix(path, "/")+"/")
	names = slices.DeleteFunc(names, func(name string) bool { return name <= token.After })
	page := token.Page
	if s.options.FullPages {
		page = fullPage
	}
	size := min(in.pageSize(page), len(names))
	out := struct {
		Parameters []*shown
		NextToken  string `json:",omitempty"`
	}{Parameters: []*shown{}}
	for _, name := range names[:size] {
		p, err := s.show(st, name, in.WithDecryption)
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, p)
	}
	if size < len(names) {
		if size > 0 {
			token.After = names[size-1]
		}
		token.Page++
		text, err := json.Marshal(token)
		if err != nil {
			return nil, refuse("InternalServerError", "An error occurred on the server side.")
		}
		out.NextToken = base64.StdEncoding.EncodeToString(text)
	}
	return out, nil
}

// below lists the parameters under a prefix that ends with a slash, by name.
func (in *getParametersByPath) below(st *state, prefix string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(st.parameters)) {
		rest, under := strings.CutPrefix(name, prefix)
		if !under || !in.Recursive && strings.Contains(rest, "/") {
			continue
		}
		p := st.parameters[name]
		if !slices.ContainsFunc(in.ParameterFilters, func(f parameterFilter) bool { return !f.fits(p) }) {
			names = append(names, name)
		}
	}
	return names
}

// fullPage is the number of a page that holds as many as requested.
const fullPage = 2

// pageSize is how many parameters a page holds: as AWS may, fewer than requested on the
// first page of three, and none on the second [botocore ssm GetParametersByPath].
func (in *getParametersByPath) pageSize(page int) int {
	limit := 10
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	switch page % 3 {
	case 0:
		return max(1, limit-3)
	case 1:
		return 0
	default:
		return limit
	}
}

func (in *getParametersByPath) token(path string) (pathToken, error) {
	fresh := pathToken{Path: path, Recursive: in.Recursive}
	if in.NextToken == "" {
		return fresh, nil
	}
	var given pathToken
	text, err := base64.StdEncoding.DecodeString(in.NextToken)
	if err == nil {
		err = json.Unmarshal(text, &given)
	}
	if err != nil || given.Path != fresh.Path || given.Recursive != fresh.Recursive {
		return pathToken{}, refuse("InvalidNextToken", "The specified token isn't valid.")
	}
	return given, nil
}
