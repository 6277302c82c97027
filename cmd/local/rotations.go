package main

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// rotation is one that the demonstration has Secrets Manager make.
type rotation struct {
	connection, document string
	// value is the member of the document that the rotation replaces.
	value string
	rules types.RotationRulesType
	// note says what happened in the provider's terms.
	note string
	// accepted reports whether the provider accepts the document.
	accepted func(d *demo, m member, document string) bool
}

var shownRotations = []rotation{
	{
		connection: "flexera-service", document: "credential", value: "client_secret",
		rules: types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
		note:  "a new client of the service account",
		accepted: func(d *demo, m member, document string) bool {
			return d.flexeraClientWorks(m, memberOf(document, "client_id"))
		},
	},
	{
		connection: "apiax", document: "session", value: "refresh_token",
		rules: types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(7)},
		note:  "a new login, 14 days from now",
		accepted: func(d *demo, m member, document string) bool {
			return d.idp.RefreshTokenAlive(m.provider(), memberOf(document, "refresh_token"))
		},
	},
	{
		connection: "flexnet", document: "token", value: "access_token",
		rules: types.RotationRulesType{ScheduleExpression: aws.String("rate(4 hours)")},
		note:  "the other one of its two names",
		accepted: func(d *demo, m member, document string) bool {
			return d.idp.Accepts(m.provider(), memberOf(document, "access_token"))
		},
	},
}

// flexeraClientWorks reports whether the service account has the client.
func (d *demo) flexeraClientWorks(m member, clientID string) bool {
	settings, _ := m.declared["settings"].(map[string]any)
	org, _ := settings["org_id"].(int)
	account, _ := settings["service_account_id"].(int)
	for _, id := range d.idp.Flexera().Clients(org, account) {
		if id == clientID {
			return true
		}
	}
	return false
}

// rotations has Secrets Manager rotate one document of each role, in its four
// steps, and shows the value before and after.
func (d *demo) rotations(ctx context.Context) error {
	d.title("5. Rotations by Secrets Manager: one of each role, in its four steps.")
	t := table{head: []string{"secret", "replaced", "before", "after", ""}}
	for _, r := range shownRotations {
		m := d.member(r.connection)
		id := m.secret(r.document)
		old, _ := d.aws.Secret(id).Labelled("AWSCURRENT")
		out, err := d.secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
			SecretId: &id, RotationLambdaARN: aws.String(d.rotate.ARN()), RotationRules: &r.rules,
		})
		if err != nil {
			return fmt.Errorf("asking for the rotation of %s: %w", id, err)
		}
		d.aws.WaitRotations()
		now, _ := d.aws.Secret(id).Labelled("AWSCURRENT")
		before, after := memberOf(old.Value, r.value), memberOf(now.Value, r.value)
		t.rows = append(t.rows, []string{id, r.value, fingerprint(before), fingerprint(after), r.note})
		if now.ID != aws.ToString(out.VersionId) {
			d.check(false, "%s: the rotation is not complete: %v", id, d.lastRotationError())
			continue
		}
		_, left := d.aws.Secret(id).Labelled("AWSPENDING")
		d.check(!left, "%s: AWSPENDING is still there", id)
		d.check(after != "" && before != after, "%s: the %s is the old one", id, r.value)
		d.check(r.accepted(d, m, now.Value), "%s: its provider does not accept what is stored", id)
	}
	t.write(d.out)
	return nil
}
