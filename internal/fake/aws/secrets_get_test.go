package fakeaws_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	fakeaws "evertoken/internal/fake/aws"
)

func TestGetSecretValueFindsByStageAndVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.empty("empty")
	w.empty("s")
	if err := w.put(t.Context(), "s", "v1", "one"); err != nil {
		t.Fatal(err)
	}
	const noStage, noVersion = "Secrets Manager can't find the specified secret value for staging label: ", "Secrets Manager can't find the specified secret value for VersionId: "
	tests := map[string]struct {
		in               secretsmanager.GetSecretValueInput
		code, text, want string
	}{
		"current by default": {in: secretsmanager.GetSecretValueInput{SecretId: aws.String("s")}, want: "one"},
		"by id":              {in: secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionId: id("v1")}, want: "one"},
		"by both":            {in: secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionId: id("v1"), VersionStage: aws.String("AWSCURRENT")}, want: "one"},
		"both disagree": {in: secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionId: id("v1"), VersionStage: aws.String("AWSPENDING")},
			code: "InvalidRequestException", text: "You provided a VersionStage that is not associated to the provided VersionId."},
		"no such label":   {in: secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionStage: aws.String("AWSPREVIOUS")}, code: "ResourceNotFoundException", text: noStage + "AWSPREVIOUS"},
		"no such version": {in: secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionId: id("v9")}, code: "ResourceNotFoundException", text: noVersion + *id("v9")},
		"no value yet":    {in: secretsmanager.GetSecretValueInput{SecretId: aws.String("empty")}, code: "ResourceNotFoundException", text: noStage + "AWSCURRENT"},
		"no such secret":  {in: secretsmanager.GetSecretValueInput{SecretId: aws.String("other")}, code: "ResourceNotFoundException", text: "Secrets Manager can't find the specified secret."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := w.sm.GetSecretValue(t.Context(), &test.in)
			check(t, "code", test.code, code(err))
			check(t, "message", test.text, message(err))
			if err == nil {
				check(t, "value", test.want, *out.SecretString)
				check(t, "labels", []string{"AWSCURRENT"}, out.VersionStages)
				check(t, "created", w.clock.Now(), out.CreatedDate.UTC())
			}
		})
	}
}

func TestABinaryValueIsReturnedAsStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	want := []byte("\x00\x01\x02\xff")
	_, err := w.sm.CreateSecret(t.Context(),
		&secretsmanager.CreateSecretInput{Name: aws.String("b"), SecretBinary: want})
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.sm.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("b")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "binary", want, out.SecretBinary)
}

// TestAPartialARNFindsItsSecret repeats the recorded test_create_and_update_secret: a
// partial ARN works unless the name looks as if it had the six characters already.
func TestAPartialARNFindsItsSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	tests := []struct {
		name    string
		partial bool
	}{
		{"s-c64bdc03", true},
		{"Valid/_+=.@-Name", true},
		{"Valid/_+=.@-Name-a1b2", true},
		{"Valid/_+=.@-Name-a1b2c3-", true},
		{"Invalid/_+=.@-Name-a1b2c3", false},
	}
	for _, test := range tests {
		arn := w.CreateSecret(test.name, aws.String("x"), nil)
		prefix := "arn:aws:secretsmanager:us-east-1:123456789012:secret:" + test.name
		if !strings.HasPrefix(arn, prefix+"-") || len(arn) != len(prefix)+7 {
			t.Errorf("ARN of %s is %s", test.name, arn)
		}
		check(t, test.name+" by name", "x", w.get(t.Context(), test.name, "AWSCURRENT"))
		check(t, test.name+" by ARN", "x", w.get(t.Context(), arn, "AWSCURRENT"))
		want := "x"
		if !test.partial {
			want = "ResourceNotFoundException"
		}
		check(t, test.name+" by partial ARN", want, w.get(t.Context(), prefix, "AWSCURRENT"))
		check(t, test.name+" with another suffix", "ResourceNotFoundException",
			w.get(t.Context(), prefix+"-000000", "AWSCURRENT"))
		check(t, test.name+" in another Region", "ResourceNotFoundException",
			w.get(t.Context(), strings.Replace(arn, "us-east-1", "eu-west-1", 1), "AWSCURRENT"))
		if test.partial {
			check(t, "name and suffix without arn:", "ResourceNotFoundException",
				w.get(t.Context(), test.name+arn[len(prefix):], "AWSCURRENT"))
		}
	}
	last := w.Calls()[1]
	check(t, "resource of a call by ARN", "s-c64bdc03", last.Resource)
}

func TestASecretAndItsVersionsAreDescribed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.CreateSecret("s", nil, map[string]string{"a": "1", "b": "2"})
	ctx, name := t.Context(), aws.String("s")
	described, err := w.sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: name})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "versions of an empty secret", 0, len(described.VersionIdsToStages))
	check(t, "rotation never set", (*bool)(nil), described.RotationEnabled)
	check(t, "never read", (*time.Time)(nil), described.LastAccessedDate)
	for i := range 5 {
		if err := w.put(ctx, "s", fmt.Sprint("v", i), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	w.get(ctx, "s", "AWSCURRENT")
	if described, err = w.sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: name}); err != nil {
		t.Fatal(err)
	}
	check(t, "labelled versions alone",
		map[string][]string{*id("v4"): {"AWSCURRENT"},
			*id("v3"): {"AWSPREVIOUS"}}, described.VersionIdsToStages)
	check(t, "read on this day", w.clock.Now().Truncate(24*time.Hour), described.LastAccessedDate.UTC())

	list := func(in secretsmanager.ListSecretVersionIdsInput) (ids []string, next *string) {
		in.SecretId = name
		out, err := w.sm.ListSecretVersionIds(ctx, &in)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range out.Versions {
			ids = append(ids, strings.TrimRight(*v.VersionId, "-"))
		}
		return ids, out.NextToken
	}
	ids, _ := list(secretsmanager.ListSecretVersionIdsInput{})
	check(t, "listed", []string{"v3", "v4"}, ids)
	first, next := list(secretsmanager.ListSecretVersionIdsInput{IncludeDeprecated: aws.Bool(true),
		MaxResults: aws.Int32(3)})
	second, end := list(secretsmanager.ListSecretVersionIdsInput{IncludeDeprecated: aws.Bool(true),
		MaxResults: aws.Int32(3), NextToken: next})
	check(t, "pages", []string{"v0", "v1", "v2", "v3", "v4"}, slices.Concat(first, second))
	check(t, "last page", (*string)(nil), end)
	_, err = w.sm.ListSecretVersionIds(ctx,
		&secretsmanager.ListSecretVersionIdsInput{SecretId: name, NextToken: aws.String("?")})
	check(t, "bad token", "InvalidNextTokenException", code(err))
	_, err = w.sm.ListSecretVersionIds(ctx,
		&secretsmanager.ListSecretVersionIdsInput{SecretId: name, MaxResults: aws.Int32(101)})
	check(t, "101 results", "ValidationException", code(err))
}

func TestTagsAreSetAndRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.CreateSecret("s", nil, map[string]string{"a": "1"})
	ctx, name := t.Context(), aws.String("s")
	tag := func(key, value string) string {
		_, err := w.sm.TagResource(ctx,
			&secretsmanager.TagResourceInput{SecretId: name,
				Tags: []types.Tag{{Key: &key, Value: &value}}})
		return code(err)
	}
	check(t, "replace", "", tag("a", "2"))
	check(t, "add", "", tag("b", "3"))
	check(t, "reserved", "InvalidParameterException", tag("aws:x", "1"))
	check(t, "tags", map[string]string{"a": "2", "b": "3"}, w.Secret("s").Tags)
	_, err := w.sm.UntagResource(ctx,
		&secretsmanager.UntagResourceInput{SecretId: name, TagKeys: []string{"a", "unknown"}})
	check(t, "untag", "", code(err))
	check(t, "tags", map[string]string{"b": "3"}, w.Secret("s").Tags)
}

func TestListSecretsFiltersAndPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.CreateSecret("app/one", nil, map[string]string{"team": "blue"})
	w.CreateSecret("app/two", nil, map[string]string{"team": "red", "teapot": "1"})
	w.CreateSecret("other", nil, nil)
	filters := func(pairs ...string) (out []types.Filter) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out,
				types.Filter{Key: types.FilterNameStringType(pairs[i]),
					Values: strings.Split(pairs[i+1], ",")})
		}
		return out
	}
	tests := map[string]struct {
		filters []types.Filter
		want    []string
	}{
		"all":                        {nil, []string{"app/one", "app/two", "other"}},
		"name prefix":                {filters("name", "app/"), []string{"app/one", "app/two"}},
		"name is case-sensitive":     {filters("name", "App/"), nil},
		"one of the values":          {filters("name", "app/t,oth"), []string{"app/two", "other"}},
		"negated":                    {filters("name", "!app/"), []string{"other"}},
		"tag key prefix":             {filters("tag-key", "tea"), []string{"app/one", "app/two"}},
		"all filters together":       {filters("tag-key", "team", "tag-value", "red"), []string{"app/two"}},
		"anything, in any case":      {filters("all", "BLUE"), []string{"app/one"}},
		"of no service":              {filters("owning-service", "rds"), nil},
		"replicas of another Region": {filters("primary-region", "eu"), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := &secretsmanager.ListSecretsInput{Filters: test.filters, MaxResults: aws.Int32(2),
				SortBy: types.SortByTypeName, SortOrder: types.SortOrderTypeAsc}
			var got []string
			for pages := secretsmanager.NewListSecretsPaginator(w.sm, in); pages.HasMorePages(); {
				page, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, x := range page.SecretList {
					got = append(got, *x.Name)
				}
			}
			check(t, "names", test.want, got)
		})
	}
}

func TestABatchReturnsValuesAndErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.CreateSecret("a", aws.String("1"), map[string]string{"k": "v"})
	w.CreateSecret("b", aws.String("2"), map[string]string{"k": "v"})
	w.empty("empty")
	batch := func(in secretsmanager.BatchGetSecretValueInput) (got []string, next *string, err error) {
		out, err := w.sm.BatchGetSecretValue(t.Context(), &in)
		if err != nil {
			return nil, nil, err
		}
		for _, x := range out.SecretValues {
			got = append(got, *x.Name+"="+*x.SecretString)
		}
		for _, x := range out.Errors {
			got = append(got, *x.SecretId+" "+*x.ErrorCode)
		}
		return got, out.NextToken, nil
	}
	got, _, err := batch(secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"a",
		"empty", "missing", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "by ids",
		[]string{"a=1", "b=2", "empty ResourceNotFoundException",
			"missing ResourceNotFoundException"}, got)

	w.Inject(&fakeaws.Fault{Operation: "BatchGetSecretValue", Resource: "b", Code: "AccessDeniedException"})
	got, _, err = batch(secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"a", "b"}})
	check(t, "whole call", "", code(err))
	check(t, "one refused", []string{"a=1", "b AccessDeniedException"}, got)
	w.ClearFaults()

	byTag := []types.Filter{{Key: "tag-key", Values: []string{"k"}}}
	first, next, err := batch(secretsmanager.BatchGetSecretValueInput{Filters: byTag, MaxResults: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := batch(secretsmanager.BatchGetSecretValueInput{Filters: byTag,
		MaxResults: aws.Int32(1), NextToken: next})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "by filter", []string{"a=1", "b=2"}, slices.Concat(first, second))

	many := strings.Split(strings.Repeat("a,", 20)+"a", ",")
	for name, in := range map[string]secretsmanager.BatchGetSecretValueInput{
		"21 ids":               {SecretIdList: many},
		"neither":              {},
		"both":                 {SecretIdList: []string{"a"}, Filters: byTag},
		"pages without filter": {SecretIdList: []string{"a"}, MaxResults: aws.Int32(1)},
	} {
		if _, _, err := batch(in); code(err) != "InvalidParameterException" && code(err) != "ValidationException" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
