//go:build verify

package others

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// put stores a value as the current version of a secret.
func (a *account) put(t *testing.T, secret, value string) {
	t.Helper()
	_, err := a.sm.PutSecretValue(t.Context(),
		&secretsmanager.PutSecretValueInput{SecretId: &secret, SecretString: &value})
	if err != nil {
		t.Fatal(err)
	}
}

// valueFrom resolves what a task definition names, as
// arn:aws:secretsmanager:region:account:secret:name:json-key:version-stage:version-id.
// The six characters after the name are those of the account's own secret.
func (a *account) valueFrom(t *testing.T, reference string) string {
	t.Helper()
	parts := strings.Split(reference, ":")
	if len(parts) != 10 {
		t.Fatalf("%q has %d parts of 10", reference, len(parts))
	}
	name, key, stage, version := parts[6][:len(parts[6])-len("-AbCdEf")], parts[7], parts[8], parts[9]
	made, err := a.sm.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	if err != nil {
		t.Fatal(err)
	}
	arn := strings.Join(parts[:6], ":") + ":" + name + (*made.ARN)[len(*made.ARN)-len("-AbCdEf"):]
	in := &secretsmanager.GetSecretValueInput{SecretId: &arn}
	if stage != "" {
		in.VersionStage = &stage
	}
	if version != "" {
		in.VersionId = &version
	}
	out, err := a.sm.GetSecretValue(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]any{}
	if err := json.Unmarshal([]byte(aws.ToString(out.SecretString)), &members); err != nil {
		t.Fatal(err)
	}
	value, ok := members[key].(string)
	if !ok {
		t.Fatalf("the secret has no text under the key %q", key)
	}
	return value
}

// TestTheDocumentedPatternMatchesAWSsEvent matches the page's pattern with AWS's own
// example of the event, with names of ours:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/event-detail-secret-label-updated-secretsmanager.html
func TestTheDocumentedPatternMatchesAWSsEvent(t *testing.T) {
	t.Parallel()
	var pattern map[string]any
	if err := json.Unmarshal([]byte(snippet(t, "Events of a new token", "json")), &pattern); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		secret, label string
		want          bool
	}{
		"a token":         {"evertoken/apiax-prod/token", "AWSCURRENT", true},
		"a session":       {"evertoken/apiax-prod/session", "AWSCURRENT", false},
		"a label of ours": {"evertoken/apiax-prod/token", "EVERTOKEN_EXCHANGE", false},
		"another secret":  {"mySecret", "AWSCURRENT", false},
	} {
		event := map[string]any{
			"version": "0", "source": "aws.secretsmanager", "detail-type": "Secret Label Updated",
			"detail": map[string]any{"name": test.secret, "labelUpdated": test.label, "versionId": "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111"},
		}
		check(t, name, test.want, matches(pattern, event))
	}
}

// matches is EventBridge's matching, as far as the pattern needs it:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
func matches(pattern, event map[string]any) bool {
	for key, want := range pattern {
		switch want := want.(type) {
		case map[string]any:
			inner, ok := event[key].(map[string]any)
			if !ok || !matches(want, inner) {
				return false
			}
		case []any:
			text, ok := event[key].(string)
			if !ok || !slices.ContainsFunc(want, func(one any) bool { return matchesOne(one, text) }) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func matchesOne(want any, text string) bool {
	if operator, ok := want.(map[string]any); ok {
		wildcard, ok := operator["wildcard"].(string)
		expression := strings.ReplaceAll(regexp.QuoteMeta(wildcard), `\*`, ".*")
		return ok && regexp.MustCompile("^"+expression+"$").MatchString(text)
	}
	return want == text
}

// TestTheDocumentedCacheTimesAreSafe computes the page's table: a safe time is a sixth of
// the token's life, in the client's unit, and at most what the client allows.
func TestTheDocumentedCacheTimesAreSafe(t *testing.T) {
	t.Parallel()
	text := readPage(t)
	for client, unit := range map[string]struct{ perSecond, most int64 }{
		"(`min_remaining`)":                                         {1, 0},
		"AWS Secrets Manager Agent (3600 at most)":                  {1, 3600},
		"AWS Parameters and Secrets Lambda Extension (300 at most)": {1, 300},
		"aws-secretsmanager-caching-python":                         {1, 0},
		"aws-secretsmanager-caching-java":                           {1000, 0},
		"aws-secretsmanager-caching-net":                            {1000, 0},
		"aws-secretsmanager-caching-go":                             {1_000_000_000, 0},
	} {
		_, row, found := strings.Cut(text, "\n| "+client+" |")
		if !found {
			t.Errorf("the table has no row %q", client)
			continue
		}
		row, _, _ = strings.Cut(row, "\n")
		cells := strings.Split(row, "|")
		for n, lifeSeconds := range []int64{1800, 3600, 86400} {
			want := lifeSeconds / 6 * unit.perSecond
			if unit.most > 0 {
				want = min(want, unit.most)
			}
			got := strings.TrimSuffix(strings.TrimSpace(cells[2+n]), " s")
			check(t, client, strconv.FormatInt(want, 10), got)
		}
	}
}
