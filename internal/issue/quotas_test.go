package issue_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// TestARunPublishesEveryTokenThoughAWSThrottles runs under the quotas of AWS. For each of
// the run's writes another writer in the account makes one too, so that the two together
// are over the quota of writes although the run alone is not.
func TestARunPublishesEveryTokenThoughAWSThrottles(t *testing.T) {
	t.Parallel()
	const connections = 240
	w := fakeworld.New(t)
	w.Paces = secrets.NewPaces(w.Config.WritesPerSecond, w.Clock.Now, w.Clock.Sleep)
	o := w.IDP.OAuth2()
	id, secret := o.AddClient(fakeidp.OAuth2Client{})
	for i := range connections {
		w.Connect(fmt.Sprintf("c-%03d", i), "oauth2", map[string]string{"client_id": id, "client_secret": secret},
			map[string]any{"token_url": o.TokenURL(), "grant": "client_credentials"}, nil)
	}

	const others = "somebody-elses"
	value := "v"
	w.AWS.CreateSecret(others, &value, nil)
	version := w.AWS.Secret(others).Versions[0].ID
	somebody := secretsmanager.NewFromConfig(w.AWS.AWSConfig(),
		func(o *secretsmanager.Options) { o.Retryer = aws.NopRetryer{} })
	w.AWS.Inject(&fakeaws.Fault{
		Kind: fakeaws.OnlyHook, Operation: "PutSecretValue",
		Hook: func(fakeaws.Call) {
			_, _ = somebody.UpdateSecretVersionStage(context.Background(),
				&secretsmanager.UpdateSecretVersionStageInput{
					// throttled or not
					SecretId: aws.String(others), VersionStage: aws.String("THEIRS"), MoveToVersionId: &version,
				})
		},
	})
	w.AWS.Enforce(fakeaws.Quotas()...)

	report := w.Run(issue.Event{})
	if report.Issued != connections {
		t.Errorf("%d of %d tokens were published: %+v", report.Issued, connections, report)
	}
	throttled := 0
	for _, c := range w.AWS.Calls() {
		if c.Operation == "PutSecretValue" && c.Code == "ThrottlingException" {
			throttled++
		}
	}
	if throttled == 0 {
		t.Error("AWS throttled no write, so the test shows nothing")
	}
	for i := range connections {
		if token, ok := w.Token(fmt.Sprintf("c-%03d", i)); !ok ||
			!w.IDP.Accepts("oauth2", token.AccessToken.Reveal()) {
			t.Errorf("connection %d has no token that works", i)
		}
	}
	t.Logf("%d writes were throttled", throttled)
}
