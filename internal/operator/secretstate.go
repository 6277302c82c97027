package operator

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"evertoken/internal/secrets"
)

// held is the state of a secret before the command changes it.
type held struct {
	exists, deleted bool
	arn             string
	tag             string // of [parameterTag]
	renamedFrom     string // of [renamedTag]
	// stack is the CloudFormation stack that owns it, "" for none.
	stack  string
	labels map[string][]string
}

// current is the version that is AWSCURRENT, or "": the secret has no value.
func (h held) current() string { return versionWith(h.labels, secrets.Current) }

// look describes a secret. A missing one is no error.
func (a *app) look(ctx context.Context, name string) (held, error) {
	d, err := a.aws.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
	if missing(err) {
		return held{}, nil
	}
	if err != nil {
		return held{}, refused(err, "secretsmanager:DescribeSecret", name)
	}
	h := held{exists: true, deleted: d.DeletedDate != nil, arn: aws.ToString(d.ARN),
		labels: d.VersionIdsToStages}
	for _, t := range d.Tags {
		switch aws.ToString(t.Key) {
		case parameterTag:
			h.tag = aws.ToString(t.Value)
		case renamedTag:
			h.renamedFrom = aws.ToString(t.Value)
		case "aws:cloudformation:stack-name":
			h.stack = aws.ToString(t.Value)
		}
	}
	return h, nil
}

// owned refuses to remove or move a secret that a stack owns: the stack's next update
// would make it again, or fail.
func (a *app) owned(h held, name string) error {
	if h.stack == "" {
		return nil
	}
	return person("Change it in that stack, or delete the stack, which keeps the secret:\n"+
		a.cli("cloudformation", "delete-stack", "--stack-name", h.stack),
		"the secret %s belongs to the stack %s", name, h.stack)
}

// renamedTag is on the secrets of a connection whose renaming is not finished: the
// parameter and version that hold the old declaration.
const renamedTag = "evertoken:renamed-from"
