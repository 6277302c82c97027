package fakestack_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	fakestack "evertoken/internal/fake/stack"
)

func start(t *testing.T) (*fakestack.Server, aws.Config) {
	t.Helper()
	s := &fakestack.Server{Region: "us-east-1", Account: "123456789012"}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}
}

func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

func TestStacksAreDescribedByNameAndPage(t *testing.T) {
	t.Parallel()
	s, config := start(t)
	for _, name := range []string{"a", "b", "c"} {
		s.Add(fakestack.Stack{Name: name, Parameters: map[string]string{"Every": "5m"},
			Outputs: map[string]string{"Arn": name}})
	}
	s.Add(fakestack.Stack{Name: "b", Status: "DELETE_COMPLETE", Description: "again"})
	client := cloudformation.NewFromConfig(config)
	var got []string
	for pages := cloudformation.NewDescribeStacksPaginator(client,
		&cloudformation.DescribeStacksInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page.Stacks {
			got = append(got, aws.ToString(x.StackName)+"="+string(x.StackStatus)+"/"+aws.ToString(x.Description))
		}
	}
	if want := "a=CREATE_COMPLETE/ c=CREATE_COMPLETE/ b=DELETE_COMPLETE/again"; strings.Join(got,
		" ") != want {
		t.Errorf("stacks %q, want %q", got, want)
	}
	one, err := client.DescribeStacks(t.Context(),
		&cloudformation.DescribeStacksInput{StackName: aws.String("a")})
	if err != nil || len(one.Stacks) != 1 || aws.ToString(one.Stacks[0].Outputs[0].OutputValue) != "a" ||
		aws.ToString(one.Stacks[0].Parameters[0].ParameterValue) != "5m" {
		t.Errorf("one stack: %v, %v", one, err)
	}
	_, err = client.DescribeStacks(t.Context(),
		&cloudformation.DescribeStacksInput{StackName: aws.String("x")})
	if code(err) != "ValidationError" || !strings.Contains(err.Error(), "Stack with id x does not exist") {
		t.Errorf("a stack that is not there: %v", err)
	}
	s.Refuse("DescribeStacks", "AccessDenied")
	if _, err = client.DescribeStacks(t.Context(),
		&cloudformation.DescribeStacksInput{}); code(err) != "AccessDenied" {
		t.Errorf("without the right: %v", err)
	}
}

func TestTheCallersAccountIsReturned(t *testing.T) {
	t.Parallel()
	_, config := start(t)
	out, err := sts.NewFromConfig(config).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || aws.ToString(out.Account) != "123456789012" {
		t.Errorf("identity: %v, %v", out, err)
	}
	config.Region = "eu-west-1"
	if _, err = sts.NewFromConfig(config).GetCallerIdentity(t.Context(),
		&sts.GetCallerIdentityInput{}); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("another Region: %v", err)
	}
}

func TestAnUnknownRequestIsRefused(t *testing.T) {
	t.Parallel()
	_, config := start(t)
	for body, want := range map[string]string{
		"Action=ListStacks&Version=2010-05-15":               "InvalidAction",
		"Action=DescribeStacks&Version=2011-06-15":           "InvalidAction",
		"Action=DescribeStacks&Version=2010-05-15&StackID=x": "ValidationError",
		"Action=DescribeStacks&Version=2010-05-15":           "MissingAuthenticationToken",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, *config.BaseEndpoint+"/",
			strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 1024)
		n, _ := answer.Body.Read(text)
		_ = answer.Body.Close()
		if !strings.Contains(string(text[:n]), "<Code>"+want+"</Code>") {
			t.Errorf("%s answers %s, want %s", body, text[:n], want)
		}
	}
}
