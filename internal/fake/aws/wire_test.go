package fakeaws_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	fakeaws "evertoken/internal/fake/aws"
)

func TestARequestThatAWSWouldNotAcceptIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.CreateSecret("s", aws.String("x"), nil)
	const get = "secretsmanager.GetSecretValue"
	set := func(key, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(key, value) }
	}
	replace := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	tests := map[string]struct {
		target, body string
		edit         func(*http.Request)
		status       int
		code         string
	}{
		"good":                   {get, `{"SecretId":"s"}`, nil, 200, ""},
		"null is absent":         {get, `{"SecretId":"s","VersionId":null}`, nil, 200, ""},
		"unsigned":               {get, `{"SecretId":"s"}`, set("Authorization", ""), 400, "MissingAuthenticationTokenException"},
		"basic authentication":   {get, `{"SecretId":"s"}`, set("Authorization", "Basic eDp5"), 400, "MissingAuthenticationTokenException"},
		"wrong Region":           {get, `{"SecretId":"s"}`, replace("us-east-1", "eu-west-1"), 400, "InvalidSignatureException"},
		"wrong service":          {get, `{"SecretId":"s"}`, replace("secretsmanager", "ssm"), 400, "InvalidSignatureException"},
		"date not signed":        {get, `{"SecretId":"s"}`, replace(";x-amz-date", ""), 400, "InvalidSignatureException"},
		"date of another day":    {get, `{"SecretId":"s"}`, set("X-Amz-Date", "20261122T000000Z"), 400, "InvalidSignatureException"},
		"unknown operation":      {"secretsmanager.Nonsense", `{}`, nil, 400, "UnknownOperationException"},
		"GET":                    {get, `{"SecretId":"s"}`, func(r *http.Request) { r.Method = http.MethodGet }, 400, "UnknownOperationException"},
		"another path":           {get, `{"SecretId":"s"}`, func(r *http.Request) { r.URL.Path = "/x" }, 400, "UnknownOperationException"},
		"plain JSON":             {get, `{"SecretId":"s"}`, set("Content-Type", "application/json"), 400, "UnknownOperationException"},
		"no JSON":                {get, `SecretId=s`, nil, 400, "SerializationException"},
		"two values":             {get, `{"SecretId":"s"}{}`, nil, 400, "SerializationException"},
		"a list":                 {get, `[]`, nil, 400, "SerializationException"},
		"wrong type":             {get, `{"SecretId":7}`, nil, 400, "SerializationException"},
		"bad base64":             {"secretsmanager.PutSecretValue", `{"SecretId":"s","SecretBinary":"?"}`, nil, 400, "SerializationException"},
		"unknown member":         {get, `{"SecretId":"s","Secret":"s"}`, nil, 400, "ValidationException"},
		"member in another case": {get, `{"secretId":"s"}`, nil, 400, "ValidationException"},
		"unknown member deeper":  {"secretsmanager.TagResource", `{"SecretId":"s","Tags":[{"key":"a"}]}`, nil, 400, "ValidationException"},
		"missing member":         {get, `{}`, nil, 400, "ValidationException"},
		"missing member of SSM":  {"AmazonSSM.GetParameter", `{}`, nil, 400, "ValidationException"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, answer := w.raw(t, test.target, test.body, test.edit)
			check(t, "status", test.status, status)
			if test.code != "" && !strings.Contains(answer, `"__type":"`+test.code+`"`) {
				t.Errorf("got %s, want %s", answer, test.code)
			}
			if test.code == "" && !strings.Contains(answer, `"SecretString":"x"`) {
				t.Errorf("got %s, want the value", answer)
			}
		})
	}
}

// TestErrorsDoNotQuoteValues sends values that are refused for their form.
func TestErrorsDoNotQuoteValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.CreateSecret("s", nil, nil)
	const hidden = "hunter2"
	for _, test := range []struct{ target, body string }{
		{"secretsmanager.PutSecretValue", `{"SecretId":"s","SecretBinary":"` + hidden + `?"}`},
		{"secretsmanager.PutSecretValue", `{"SecretId":"s","RotationToken":"` + hidden + `","SecretString":"x"}`},
		{"secretsmanager.PutSecretValue", `{"SecretId":"s","SecretString":{"a":"` + hidden + `"}}`},
		{"AmazonSSM.PutParameter", `{"Name":"/p","Type":"String","Value":"{{` + hidden + `}}"}`},
	} {
		status, answer := w.raw(t, test.target, test.body, nil)
		check(t, test.body, 400, status)
		if strings.Contains(answer, hidden) {
			t.Errorf("%s quotes the value", answer)
		}
	}
}

func TestEveryCallIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.CreateSecret("s", aws.String("x"), nil)
	w.raw(t, "secretsmanager.GetSecretValue", `{"SecretId":"s"}`,
		func(r *http.Request) { r.Header.Set("X-Evertoken-Client", "reader") })
	w.raw(t, "secretsmanager.DescribeSecret", `{"SecretId":"missing"}`,
		func(r *http.Request) { r.Header.Set("User-Agent", "agent") })
	w.raw(t, "AmazonSSM.GetParameters", `{"Names":["/a:1","/b"]}`,
		func(r *http.Request) { r.Header.Set("User-Agent", "agent") })
	now := w.clock.Now()
	check(t, "calls", []fakeaws.Call{
		{Time: now, Operation: "GetSecretValue", Resource: "s", Client: "reader"},
		{Time: now, Operation: "DescribeSecret", Resource: "missing", Code: "ResourceNotFoundException", Client: "agent"},
		{Time: now, Operation: "GetParameters", Resource: "/a,/b", Client: "agent"},
	}, w.Calls())
	w.ResetCalls()
	check(t, "after the reset", 0, len(w.Calls()))
}
