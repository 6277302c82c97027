package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

// parameterTag names a connection's parameter on each of its secrets, so that a
// rotation finds the connection.
const parameterTag = "evertoken:parameter"

// document is one of a connection's secrets.
type document struct{ role, id string }

// roleCopy is the role of a plain copy of the token.
const roleCopy = "copy"

// member is the member of the declaration that names the secret.
func (d document) member() string {
	if d.role == roleCopy {
		return "plain_copy"
	}
	return d.role
}

func (d document) name() string { return connection.SecretName(d.id) }

func documents(c connection.Connection) []document {
	out := []document{{"credential", c.Credential}, {"session", c.Session}}
	if c.Token != "" {
		out = append(out, document{"token", c.Token})
	}
	if c.PlainCopy != "" {
		out = append(out, document{roleCopy, c.PlainCopy})
	}
	return out
}

// examination is a check of one connection against AWS.
type examination struct {
	*app
	d         connection.Declared
	all       fleet
	stack     stack // its name is "" where it was not found
	sessionIs exchange.SessionUse
	findings  []finding
}

func (x *examination) add(weight, next, format string, args ...any) {
	x.findings = append(x.findings, finding{Connection: x.d.Name, Weight: weight,
		What: fmt.Sprintf(format, args...), Next: next})
}

// unread notes what could not be read.
func (x *examination) unread(err error) {
	x.add(weightUnread, hints(err), "%v", err)
}

func (a *app) checkNames(ctx context.Context, names []string) ([]finding, error) {
	all, err := a.fleet(ctx)
	if err != nil {
		return nil, err
	}
	s, stackErr := a.findStack(ctx)
	var findings []finding
	for _, name := range names {
		d, err := all.find(name)
		if err != nil {
			return nil, err
		}
		x := &examination{app: a, d: d, all: all, stack: s}
		x.run(ctx, stackErr)
		findings = append(findings, x.findings...)
	}
	return findings, nil
}

func (x *examination) run(ctx context.Context, stackErr error) {
	err := x.d.Err
	if err == nil {
		p, e := x.provider(x.d.Connection)
		if err = e; err == nil {
			x.sessionIs = p.Traits().Session
		}
	}
	if err != nil {
		var all []string
		for _, err := range x.faults(x.d, x.all.parameters[x.d.Parameter], err) {
			all = append(all, problem(err))
		}
		slices.Sort(all[1:])
		for i, what := range all {
			next := ""
			if i+1 == len(all) {
				next = connection.Correct(x.d.Parameter)
			}
			x.add(weightFault, next, "%s", what)
		}
		return
	}
	x.add(weightOK, "", "declared in %s, provider %s", x.d.Parameter, x.d.Connection.Provider)
	for _, doc := range documents(x.d.Connection) {
		x.secret(ctx, doc)
	}
	x.shared()
	if p := x.d.Connection.TokenParameter; p != "" && x.stack.name != "" &&
		!strings.HasPrefix(p, x.stack.parameterPrefix+"tokens/") {
		x.add(weightFault, "Name a parameter below that path in the parameter "+x.d.Parameter+".",
			"the functions may not write %s: their roles reach only "+
				"%stokens/…", p, x.stack.parameterPrefix)
	}
	x.life(ctx)
	if stackErr != nil {
		x.unread(stackErr)
		return
	}
	x.dryRun(ctx)
}

// secret checks that one secret exists and is as it must be.
func (x *examination) secret(ctx context.Context, doc document) {
	d, err := x.aws.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &doc.id})
	switch {
	case missing(err) && doc.role == "session" && x.sessionIs != exchange.RequiredSession:
		x.add(weightOK, "", "no session secret, and the connection needs none")
		return
	case missing(err):
		x.add(weightFault, "evertoken add "+x.d.Name, "the secret %s does not exist", doc.name())
		return
	case err != nil:
		x.unread(refused(err, "secretsmanager:DescribeSecret", doc.name()))
		return
	case d.DeletedDate != nil:
		x.add(weightFault, x.cli("secretsmanager", "restore-secret", "--secret-id", doc.name()),
			"the secret %s is marked for deletion", doc.name())
		return
	}
	before := len(x.findings)
	x.place(doc, d)
	x.tag(doc, d)
	x.key(doc, d)
	x.rotation(doc, d)
	if doc.role == "credential" && !hasLabel(d.VersionIdsToStages, secrets.Current) {
		x.add(weightFault, "evertoken credential "+x.d.Name, "no credential is stored in %s yet",
			doc.name())
	}
	x.policy(ctx, doc)
	if len(x.findings) == before {
		x.add(weightOK, "", "the secret %s is there, with its tag and key", doc.name())
	}
}

func hasLabel(labels map[string][]string, label string) bool {
	for _, all := range labels {
		if slices.Contains(all, label) {
			return true
		}
	}
	return false
}

// place checks Region and name: the functions' roles reach no other secret.
func (x *examination) place(doc document, d *secretsmanager.DescribeSecretOutput) {
	if primary := aws.ToString(d.PrimaryRegion); primary != "" && primary != x.aws.region {
		x.add(weightFault, "Deploy the stack and declare the connection in "+primary+".",
			"the secret %s is a replica: Evertoken writes in its primary Region, %s", doc.name(), primary)
	}
	if x.stack.name == "" {
		return
	}
	name := doc.name()
	if !strings.HasPrefix(name, x.stack.secretPrefix) || !strings.HasSuffix(name, "/"+doc.role) {
		x.add(weightFault, "Create the secret under such a name, and name it as "+doc.member()+
			" in the parameter "+x.d.Parameter+".",
			"the functions may not use %s: their roles reach only %s…/%s", name,
			x.stack.secretPrefix, doc.role)
	}
}

func (x *examination) tag(doc document, d *secretsmanager.DescribeSecretOutput) {
	have := ""
	for _, t := range d.Tags {
		if aws.ToString(t.Key) == parameterTag {
			have = aws.ToString(t.Value)
		}
	}
	next := x.cli("secretsmanager", "tag-resource", "--secret-id", doc.name(), "--tags",
		"Key="+parameterTag+",Value="+x.d.Parameter)
	switch {
	case have == x.d.Parameter:
	case have == "":
		x.add(weightWarning, next, "the secret %s has no tag %s: without it, "+
			"a rotation must search all connections", doc.name(), parameterTag)
	case doc.role == "credential" && x.serves(doc, have): // a shared one has one tag
	default:
		x.add(weightFault, next, "the tag %s of %s names another parameter, %s", parameterTag,
			doc.name(), have)
	}
}

// serves reports whether a credential also serves a connection of a parameter.
func (x *examination) serves(doc document, parameter string) bool {
	return slices.ContainsFunc(x.all.declared, func(d connection.Declared) bool {
		return d.Parameter == parameter && connection.SecretName(d.Connection.Credential) == doc.name()
	})
}

// key checks the KMS key: the functions' roles may use that of the stack alone.
func (x *examination) key(doc document, d *secretsmanager.DescribeSecretOutput) {
	have := aws.ToString(d.KmsKeyId)
	if x.stack.name == "" || have == x.stack.keyARN || have == "alias/aws/secretsmanager" &&
		x.stack.keyARN == "" {
		return
	}
	if have != "" && x.stack.keyARN != "" && strings.HasSuffix(x.stack.keyARN, "/"+have) {
		return
	}
	if x.stack.keyARN == "" {
		x.add(weightFault, "Deploy the stack with that key as KmsKeyArn, "+
			"or give the secret AWS's own key.",
			"the secret %s has a KMS key that the functions may not use", doc.name())
		return
	}
	weight := weightFault
	if have == "" { // AWS's own key needs no right
		weight = weightWarning
	}
	x.add(weight, x.cli("secretsmanager", "update-secret", "--secret-id", doc.name(), "--kms-key-id",
		x.stack.keyARN),
		"the secret %s is not encrypted with the key of the stack %s", doc.name(), x.stack.name)
}

// rotation checks the rotation settings of a secret against the connection.
func (x *examination) rotation(doc document, d *secretsmanager.DescribeSecretOutput) {
	enabled := aws.ToBool(d.RotationEnabled)
	byRotation := doc.role == "token" && x.d.Connection.RenewedBy == connection.ByRotation
	switch {
	case !enabled && byRotation:
		x.add(weightFault, "evertoken rotate "+x.d.Name+" token --every 12h",
			"renewed_by is rotation, and %s has no rotation", doc.name())
	case enabled && x.stack.name != "" && aws.ToString(d.RotationLambdaARN) != x.stack.rotate:
		x.add(weightFault, "evertoken rotate "+x.d.Name+" "+doc.role,
			"a function outside the stack %s rotates %s", x.stack.name, doc.name())
	case enabled && d.NextRotationDate != nil && d.NextRotationDate.Before(x.Now().Add(-24*time.Hour)):
		x.add(weightWarning, "evertoken rotate "+x.d.Name+" "+doc.role, "the rotation of %s has "+
			"been overdue since %s", doc.name(), d.NextRotationDate.UTC().Format(time.DateOnly))
	case enabled:
		x.add(weightOK, "", "Secrets Manager rotates %s", doc.name())
	}
	pending := versionWith(d.VersionIdsToStages, secrets.Pending)
	current := versionWith(d.VersionIdsToStages, secrets.Current)
	if pending != "" && pending != current {
		x.add(weightWarning, "Secrets Manager retries it. If this lasts: evertoken explain "+x.d.Name,
			"a rotation of %s is in progress or stopped half-way: AWSPENDING is not on AWSCURRENT",
			doc.name())
	}
}

// versionWith is the id of the version that has a label, or "".
func versionWith(labels map[string][]string, label string) string {
	for id, all := range labels {
		if slices.Contains(all, label) {
			return id
		}
	}
	return ""
}

// shared reports which other connections use the credential.
func (x *examination) shared() {
	var others []string
	for _, d := range x.all.declared {
		same := connection.SecretName(d.Connection.Credential) ==
			connection.SecretName(x.d.Connection.Credential)
		if d.Err == nil && d.Name != x.d.Name && same {
			others = append(others, d.Name)
		}
	}
	if len(others) > 0 {
		x.add(weightOK, "", "the credential also serves %s", strings.Join(others, ", "))
	}
}

// secretTakes is how far apart the versions of a secret must be: 100 a day is the
// quota, and Evertoken keeps a margin.
const secretTakes = 20 * time.Minute

// leadTime is the least time by which a renewal is due before the promised life would be
// broken (internal/renew decides).
const leadTime = 15 * time.Minute

// life compares the published token's life with the schedule and the promise.
func (x *examination) life(ctx context.Context) {
	c := x.d.Connection
	value, err := x.published(ctx, c)
	if f, ok := err.(*failure); ok && f.code == exitPerson { //nolint:errorlint // made there, not wrapped
		x.add(weightWarning, "evertoken renew "+c.Name, "no token is published yet")
		return
	}
	if err != nil {
		x.unread(err)
		return
	}
	t, err := credential.ParseToken(value)
	if err != nil {
		x.add(weightFault, "evertoken renew "+c.Name, "%s: %v", tokenName(c), err)
		return
	}
	life := t.ExpiresAt.Sub(t.IssuedAt)
	promised := c.MinRemaining
	if promised == 0 {
		promised = life / 6
	}
	switch {
	case promised > life/2:
		x.add(weightWarning, "Lower it in the parameter "+x.d.Parameter+".",
			"min_remaining is %s, more than half of the token's life of %s: "+
				"Evertoken promises half of its life", span(promised), span(life))
	case c.Token != "" && life-promised < secretTakes:
		x.add(weightFault, "Declare token_parameter in place of token, in the "+
			"parameter "+x.d.Parameter+".",
			"a token that lives %s needs more versions than a secret may get, "+
				"which is one every 15 minutes", span(life))
	case x.stack.name != "" && max(leadTime, life/4) < 2*x.stack.every:
		x.add(weightWarning, "Deploy the stack with a shorter Every.",
			"the function runs every %s: one failed run leaves applications a token with less "+
				"than %s of life", span(x.stack.every), span(promised))
	default:
		x.add(weightOK, "", "the token lives %s, and Evertoken promises applications at least "+
			"%s of it", span(life), span(promised))
	}
}

// dryRun asks the function itself, with its own role.
func (x *examination) dryRun(ctx context.Context) {
	report, err := x.invoke(ctx, x.stack, event{Connections: []string{x.d.Name}, DryRun: true})
	if err != nil {
		x.unread(err)
		return
	}
	switch e := outcomeOf(report, x.d.Name); e.Outcome {
	case "failed", "blocked":
		x.add(weightFault, e.Hint, "the function issue says %s: %s", e.Outcome, e.Reason)
	case "waiting", "deferred":
		x.add(weightWarning, e.Hint, "the function issue says %s: %s", e.Outcome, e.Reason)
	default:
		weight := weightOK
		if e.Hint != "" { // something is wrong that the living token does not show yet
			weight = weightWarning
		}
		x.add(weight, e.Hint, "the function issue can read everything, and says %s: %s", e.Outcome,
			orDash(e.Reason))
	}
}
