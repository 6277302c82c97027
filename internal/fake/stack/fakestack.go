// Package fakestack answers the two calls with which a client finds a stack:
// CloudFormation's DescribeStacks and STS's GetCallerIdentity, in AWS's query protocol.
// It is an [http.Handler] that can share an endpoint with the other fakes. Errors have
// AWS's shapes; an unknown parameter is refused.
package fakestack

import (
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Stack is one that DescribeStacks answers.
type Stack struct {
	Name, Description string
	// Status is CREATE_COMPLETE when empty.
	Status              string
	Parameters, Outputs map[string]string
}

// Server answers for one account and Region.
type Server struct {
	// Region is the one that requests must be signed for.
	Region, Account string

	mu     sync.Mutex
	stacks []Stack
	// refusals are error codes by action; see [Server.Refuse].
	refusals map[string]string
}

// Add makes a stack known, in place of another of its name.
func (s *Server) Add(stack Stack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stacks = slices.DeleteFunc(s.stacks, func(x Stack) bool { return x.Name == stack.Name })
	s.stacks = append(s.stacks, stack)
}

// Clear forgets all stacks.
func (s *Server) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stacks = nil
}

// Refuse answers an error code, as AccessDenied, to every further request for an
// action. An empty code ends that.
func (s *Server) Refuse(action, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusals == nil {
		s.refusals = map[string]string{}
	}
	s.refusals[action] = code
}

// apis are the versions of the two services and the names they are signed for.
var apis = map[string]struct {
	version, signedFor string
	parameters         []string
}{
	"DescribeStacks":    {"2010-05-15", "cloudformation", []string{"StackName", "NextToken"}},
	"GetCallerIdentity": {"2011-06-15", "sts", nil},
}

var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[^/\s]+/\d{8}/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=[^,\s]+, ?Signature=[0-9a-f]{64}$`)

// maxBody bounds a request; AWS's own limit is not published.
const maxBody = 1 << 16

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if r.Method != http.MethodPost || r.URL.Path != "/" || r.ParseForm() != nil {
		refuse(w, http.StatusBadRequest, "MalformedQueryString", "The request is not a form that is posted to /.")
		return
	}
	form := r.PostForm
	action := form.Get("Action")
	api, known := apis[action]
	if !known || form.Get("Version") != api.version {
		refuse(w, http.StatusBadRequest, "InvalidAction",
			"Could not find operation "+action+" for version "+form.Get("Version"))
		return
	}
	for name := range form {
		if name != "Action" && name != "Version" && !slices.Contains(api.parameters, name) {
			refuse(w, http.StatusBadRequest, "ValidationError", "The parameter "+name+" is not known to "+action+".")
			return
		}
	}
	scope := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	switch {
	case scope == nil:
		refuse(w, http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token")
		return
	case scope[1] != s.Region || scope[2] != api.signedFor:
		refuse(w, http.StatusForbidden, "SignatureDoesNotMatch", "Credential should be scoped to a valid region.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if code := s.refusals[action]; code != "" {
		refuse(w, http.StatusForbidden, code, "User: arn:aws:iam::"+s.Account+":user/operator is not "+
			"authorized to perform: "+api.signedFor+":"+action)
		return
	}
	if action == "GetCallerIdentity" {
		answer(w, http.StatusOK, identityResponse{Account: s.Account, UserID: "AIDAIOSFODNN7EXAMPLE",
			ARN: "arn:aws:iam::" + s.Account + ":user/operator"})
		return
	}
	s.describe(w, form)
}

// pageSize is how many stacks a page has: few, so that a client must request further
// ones.
const pageSize = 2

func (s *Server) describe(w http.ResponseWriter, form url.Values) {
	found := s.stacks
	if name := form.Get("StackName"); name != "" {
		found = nil
		for _, x := range s.stacks {
			if x.Name == name || s.id(x) == name {
				found = append(found, x)
			}
		}
		if len(found) == 0 {
			refuse(w, http.StatusBadRequest, "ValidationError", "Stack with id "+name+" does not exist")
			return
		}
	}
	from, err := strconv.Atoi(form.Get("NextToken"))
	if form.Get("NextToken") != "" && (err != nil || from < 0 || from > len(found)) {
		refuse(w, http.StatusBadRequest, "ValidationError", "The NextToken is not valid.")
		return
	}
	var out stacksResponse
	to := min(from+pageSize, len(found))
	if to < len(found) {
		out.Result.NextToken = strconv.Itoa(to)
	}
	for _, x := range found[from:to] {
		status := x.Status
		if status == "" {
			status = "CREATE_COMPLETE"
		}
		out.Result.Stacks = append(out.Result.Stacks, stackXML{
			Name: x.Name, ID: s.id(x), Description: x.Description, Status: status,
			Created: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).Format(time.RFC3339),
			Outputs: outputs(x.Outputs), Parameters: parameters(x.Parameters),
		})
	}
	answer(w, http.StatusOK, out)
}

func (s *Server) id(x Stack) string {
	return "arn:aws:cloudformation:" + s.Region + ":" + s.Account + ":stack/" + x.Name +
		"/5f0c2f0e-5b1a-11ee-9b4e-2d8f0c7a1e35"
}

type stacksResponse struct {
	XMLName xml.Name `xml:"http://cloudformation.amazonaws.com/doc/2010-05-15/ DescribeStacksResponse"`
	Result  struct {
		NextToken string     `xml:",omitempty"`
		Stacks    []stackXML `xml:"Stacks>member"`
	} `xml:"DescribeStacksResult"`
}

type stackXML struct {
	Name        string         `xml:"StackName"`
	ID          string         `xml:"StackId"`
	Description string         `xml:",omitempty"`
	Created     string         `xml:"CreationTime"`
	Status      string         `xml:"StackStatus"`
	Parameters  []parameterXML `xml:"Parameters>member"`
	Outputs     []outputXML    `xml:"Outputs>member"`
}

type parameterXML struct {
	Key   string `xml:"ParameterKey"`
	Value string `xml:"ParameterValue"`
}

type outputXML struct {
	Key   string `xml:"OutputKey"`
	Value string `xml:"OutputValue"`
}

func parameters(of map[string]string) (out []parameterXML) {
	for _, key := range slices.Sorted(maps.Keys(of)) {
		out = append(out, parameterXML{key, of[key]})
	}
	return out
}

func outputs(of map[string]string) (out []outputXML) {
	for _, key := range slices.Sorted(maps.Keys(of)) {
		out = append(out, outputXML{key, of[key]})
	}
	return out
}

type identityResponse struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
	ARN     string   `xml:"GetCallerIdentityResult>Arn"`
	UserID  string   `xml:"GetCallerIdentityResult>UserId"`
	Account string   `xml:"GetCallerIdentityResult>Account"`
}

type errorResponse struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Type    string   `xml:"Error>Type"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, errorResponse{Type: "Sender", Code: code, Message: message})
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := xml.Marshal(v)
	if err != nil {
		panic("fakestack: encoding an answer: " + err.Error())
	}
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("X-Amzn-Requestid", "c6104cbe-af31-11e0-8154-cbc7ccf896c7")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(strings.TrimSpace(xml.Header) + string(body))) // the caller may have hung up
}
