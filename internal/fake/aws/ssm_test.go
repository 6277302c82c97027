package fakeaws_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	fakeaws "evertoken/internal/fake/aws"
)

func (w *world) putParameter(ctx context.Context, in ssm.PutParameterInput) error {
	_, err := w.ssm.PutParameter(ctx, &in)
	return err
}

func TestEveryPutOfAParameterIsAnsweredAsByAWS(t *testing.T) {
	t.Parallel()
	sized := func(n int) *string { return aws.String(strings.Repeat("x", n)) }
	tests := map[string]struct {
		in         ssm.PutParameterInput
		code, text string
		tier       string
	}{
		"standard":               {in: ssm.PutParameterInput{Type: types.ParameterTypeString, Value: sized(4096)}, tier: "Standard"},
		"standard, one more":     {in: ssm.PutParameterInput{Type: types.ParameterTypeString, Value: sized(4097)}, code: "ValidationException"},
		"advanced":               {in: ssm.PutParameterInput{Type: types.ParameterTypeString, Value: sized(8192), Tier: types.ParameterTierAdvanced}, tier: "Advanced"},
		"advanced, one more":     {in: ssm.PutParameterInput{Type: types.ParameterTypeString, Value: sized(8193), Tier: types.ParameterTierAdvanced}, code: "ValidationException"},
		"tiering, small":         {in: ssm.PutParameterInput{Type: types.ParameterTypeSecureString, Value: sized(4096), Tier: types.ParameterTierIntelligentTiering}, tier: "Standard"},
		"tiering, large":         {in: ssm.PutParameterInput{Type: types.ParameterTypeSecureString, Value: sized(4097), Tier: types.ParameterTierIntelligentTiering}, tier: "Advanced"},
		"tiering, too large":     {in: ssm.PutParameterInput{Type: types.ParameterTypeSecureString, Value: sized(8193), Tier: types.ParameterTierIntelligentTiering}, code: "ValidationException"},
		"without type":           {in: ssm.PutParameterInput{Value: sized(1)}, code: "ValidationException", text: "A parameter type is required when you create a parameter."},
		"empty":                  {in: ssm.PutParameterInput{Type: types.ParameterTypeString, Value: sized(0)}, code: "ValidationException"},
		"nested":                 {in: ssm.PutParameterInput{Type: types.ParameterTypeString, Value: aws.String("{{x}}")}, code: "ValidationException"},
		"key for a String":       {in: ssm.PutParameterInput{Type: types.ParameterTypeString, Value: sized(1), KeyId: aws.String("alias/k")}, code: "ValidationException"},
		"pattern kept":           {in: ssm.PutParameterInput{Type: types.ParameterTypeString, Value: sized(3), AllowedPattern: aws.String("x+")}, tier: "Standard"},
		"pattern not kept":       {in: ssm.PutParameterInput{Type: types.ParameterTypeString, Value: sized(3), AllowedPattern: aws.String("xx")}, code: "ParameterPatternMismatchException"},
		"pattern unreadable":     {in: ssm.PutParameterInput{Type: types.ParameterTypeString, Value: sized(3), AllowedPattern: aws.String("(")}, code: "InvalidAllowedPatternException"},
		"tags and overwrite":     {in: ssm.PutParameterInput{Type: types.ParameterTypeString, Value: sized(1), Overwrite: aws.Bool(true), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}, code: "ValidationException"},
		"no leading slash":       {in: ssm.PutParameterInput{Name: aws.String("a/b"), Type: types.ParameterTypeString, Value: sized(1)}, code: "ValidationException", text: "Parameter name must be a fully qualified name."},
		"no path at all":         {in: ssm.PutParameterInput{Name: aws.String("plain"), Type: types.ParameterTypeString, Value: sized(1)}, tier: "Standard"},
		"trailing slash":         {in: ssm.PutParameterInput{Name: aws.String("/a/"), Type: types.ParameterTypeString, Value: sized(1)}, code: "ValidationException"},
		"a space":                {in: ssm.PutParameterInput{Name: aws.String("/a b"), Type: types.ParameterTypeString, Value: sized(1)}, code: "ValidationException"},
		"an ARN":                 {in: ssm.PutParameterInput{Name: aws.String("arn:aws:ssm:us-east-1:123456789012:parameter/a"), Type: types.ParameterTypeString, Value: sized(1)}, code: "ValidationException"},
		"reserved for aws":       {in: ssm.PutParameterInput{Name: aws.String("/AWS/x"), Type: types.ParameterTypeString, Value: sized(1)}, code: "AccessDeniedException"},
		"reserved for ssm":       {in: ssm.PutParameterInput{Name: aws.String("ssmx"), Type: types.ParameterTypeString, Value: sized(1)}, code: "ValidationException"},
		"15 levels":              {in: ssm.PutParameterInput{Name: aws.String(strings.Repeat("/a", 15)), Type: types.ParameterTypeString, Value: sized(1)}, tier: "Standard"},
		"16 levels":              {in: ssm.PutParameterInput{Name: aws.String(strings.Repeat("/a", 16)), Type: types.ParameterTypeString, Value: sized(1)}, code: "HierarchyLevelLimitExceededException"},
		"name of 1,012 with ARN": {in: ssm.PutParameterInput{Name: aws.String("/" + strings.Repeat("a", 1012-45)), Type: types.ParameterTypeString, Value: sized(1)}, code: "ValidationException"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fakeaws.Options{})
			if test.in.Name == nil {
				test.in.Name = aws.String("/p")
			}
			err := w.putParameter(t.Context(), test.in)
			check(t, "code", test.code, code(err))
			if test.text != "" {
				check(t, "message", test.text, message(err))
			}
			p, exists := w.Parameter(*test.in.Name)
			check(t, "exists", test.code == "", exists)
			check(t, "tier", test.tier, p.Tier)
		})
	}
}

func TestAParameterIsOverwrittenOnlyOnRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	put := func(in ssm.PutParameterInput) string {
		in.Name = aws.String("/p")
		return code(w.putParameter(t.Context(), in))
	}
	secure := types.ParameterTypeSecureString
	check(t, "create", "",
		put(ssm.PutParameterInput{Type: secure, Value: aws.String("1"),
			KeyId: aws.String("alias/mine")}))
	check(t, "again", "ParameterAlreadyExists", put(ssm.PutParameterInput{Type: secure, Value: aws.String("2")}))
	check(t, "another type", "HierarchyTypeMismatchException",
		put(ssm.PutParameterInput{Type: types.ParameterTypeString, Value: aws.String("2"),
			Overwrite: aws.Bool(true)}))
	p, _ := w.Parameter("/p")
	check(t, "key", "alias/mine", p.KeyID)
	check(t, "overwrite", "",
		put(ssm.PutParameterInput{Value: aws.String(strings.Repeat("x", 5000)),
			Overwrite: aws.Bool(true), Tier: types.ParameterTierIntelligentTiering}))
	p, _ = w.Parameter("/p")
	check(t, "a put without key takes the default", "alias/aws/ssm", p.KeyID)
	check(t, "tier", "Advanced", p.Tier)
	check(t, "version", int64(2), p.Version)
	check(t, "back to standard", "ValidationException",
		put(ssm.PutParameterInput{Value: aws.String("3"), Overwrite: aws.Bool(true),
			Tier: types.ParameterTierStandard}))
	check(t, "tiering stays advanced", "",
		put(ssm.PutParameterInput{Value: aws.String("3"), Overwrite: aws.Bool(true),
			Tier: types.ParameterTierIntelligentTiering}))
	p, _ = w.Parameter("/p")
	check(t, "tier", "Advanced", p.Tier)
}

func TestAParameterKeepsItsLastHundredVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	for i := range 101 {
		w.PutParameter("/p", "String", fmt.Sprint(i+1))
	}
	get := func(name string) string {
		out, err := w.ssm.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name})
		if err != nil {
			return code(err)
		}
		return *out.Parameter.Value + aws.ToString(out.Parameter.Selector)
	}
	check(t, "newest", "101", get("/p"))
	check(t, "oldest kept", "2:2", get("/p:2"))
	check(t, "oldest", "ParameterVersionNotFound", get("/p:1"))
	check(t, "label", "ParameterVersionNotFound", get("/p:x"))
	check(t, "by ARN", "101", get("arn:aws:ssm:us-east-1:123456789012:parameter/p"))
	check(t, "missing", "ParameterNotFound", get("/q"))
	w.PutParameter("plain", "String", "x")
	check(t, "name without a slash, by ARN", "x", get("arn:aws:ssm:us-east-1:123456789012:parameter/plain"))
}

func TestASecureStringIsDecryptedOnlyOnRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.PutParameter("/p", "SecureString", "hunter2")
	get := func(decrypt bool) string {
		out, err := w.ssm.GetParameter(t.Context(),
			&ssm.GetParameterInput{Name: aws.String("/p"), WithDecryption: &decrypt})
		if err != nil {
			return code(err)
		}
		return *out.Parameter.Value
	}
	check(t, "decrypted", "hunter2", get(true))
	if hidden := get(false); strings.Contains(hidden, "hunter2") || len(hidden) < 100 {
		t.Errorf("not decrypted: %q", hidden)
	}
	w.SetKMS("/p", true, true)
	check(t, "key refuses", "AccessDeniedException", get(true))
	check(t, "key refuses to write", "AccessDeniedException",
		code(w.putParameter(t.Context(), ssm.PutParameterInput{
			Name: aws.String("/p"), Value: aws.String("2"), Overwrite: aws.Bool(true)})))
	_, err := w.ssm.GetParameters(t.Context(),
		&ssm.GetParametersInput{Names: []string{"/p"}, WithDecryption: aws.Bool(true)})
	check(t, "several", "AccessDeniedException", code(err))
}

func TestParametersAreReadAndDeletedTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.PutParameter("/b", "String", "2")
	w.PutParameter("/a", "String", "1")
	out, err := w.ssm.GetParameters(t.Context(),
		&ssm.GetParametersInput{Names: []string{"/b", "/missing", "/a"}})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "in order", "/a /b", *out.Parameters[0].Name+" "+*out.Parameters[1].Name)
	check(t, "invalid", []string{"/missing"}, out.InvalidParameters)
	_, err = w.ssm.GetParameters(t.Context(),
		&ssm.GetParametersInput{Names: strings.Split(strings.Repeat("/a,", 10)+"/a", ",")})
	check(t, "11 names", "ValidationException", code(err))

	deleted, err := w.ssm.DeleteParameters(t.Context(),
		&ssm.DeleteParametersInput{Names: []string{"/a", "/missing"}})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "deleted", []string{"/a"}, deleted.DeletedParameters)
	check(t, "not deleted", []string{"/missing"}, deleted.InvalidParameters)
	_, err = w.ssm.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/b")})
	check(t, "delete", "", code(err))
	_, err = w.ssm.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/b")})
	check(t, "delete again", "ParameterNotFound", code(err))
}

func TestGetParametersByPathPagesAndFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	var below []string
	for i := range 25 {
		name := fmt.Sprintf("/app/p%02d", i)
		below = append(below, name)
		w.PutParameter(name, "String", "x")
	}
	w.PutParameter("/app/deep/one", "SecureString", "x")
	w.PutParameter("/apple", "String", "x")
	tests := map[string]struct {
		in    ssm.GetParametersByPathInput
		want  []string
		sizes []int
	}{
		"one level":      {ssm.GetParametersByPathInput{Path: aws.String("/app")}, below, []int{7, 0, 10, 7, 0, 1}},
		"trailing slash": {ssm.GetParametersByPathInput{Path: aws.String("/app/"), MaxResults: aws.Int32(9)}, below, []int{6, 0, 9, 6, 0, 4}},
		"recursive":      {ssm.GetParametersByPathInput{Path: aws.String("/app"), Recursive: aws.Bool(true)}, append([]string{"/app/deep/one"}, below...), []int{7, 0, 10, 7, 0, 2}},
		"filtered": {ssm.GetParametersByPathInput{Path: aws.String("/"), Recursive: aws.Bool(true),
			ParameterFilters: []types.ParameterStringFilter{
				{Key: aws.String("Type"), Option: aws.String("Equals"), Values: []string{"SecureString"}}}}, []string{"/app/deep/one"}, []int{1}},
		"root, one level": {ssm.GetParametersByPathInput{Path: aws.String("/")}, []string{"/apple"}, []int{1}},
		"nothing":         {ssm.GetParametersByPathInput{Path: aws.String("/none")}, nil, []int{0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			var sizes []int
			for pages := ssm.NewGetParametersByPathPaginator(w.ssm, &test.in); pages.HasMorePages(); {
				page, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				sizes = append(sizes, len(page.Parameters))
				for _, p := range page.Parameters {
					got = append(got, *p.Name)
				}
			}
			check(t, "names", test.want, got)
			check(t, "page sizes", test.sizes, sizes)
		})
	}
	page, err := w.ssm.GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("/app")})
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]*ssm.GetParametersByPathInput{
		"token of another path": {Path: aws.String("/other"), NextToken: page.NextToken},
		"no token":              {Path: aws.String("/app"), NextToken: aws.String("x")},
	} {
		_, err := w.ssm.GetParametersByPath(t.Context(), in)
		check(t, name, "InvalidNextToken", code(err))
	}
	_, err = w.ssm.GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("app")})
	check(t, "no leading slash", "ValidationException", code(err))
	_, err = w.ssm.GetParametersByPath(t.Context(),
		&ssm.GetParametersByPathInput{Path: aws.String("/app"), MaxResults: aws.Int32(11)})
	check(t, "11 results", "ValidationException", code(err))
}

func TestADeletedParametersNameIsNotFreeAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	put := func() error {
		_, err := w.ssm.PutParameter(t.Context(),
			&ssm.PutParameterInput{Name: aws.String("/a"), Value: aws.String("v"),
				Type: types.ParameterTypeString})
		return err
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ssm.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/a")}); err != nil {
		t.Fatal(err)
	}
	if put() == nil {
		t.Error("the name was free at once")
	}
	w.clock.Advance(30 * time.Second)
	if err := put(); err != nil {
		t.Errorf("after half a minute: %v", err)
	}
}
