package operator

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// policy reports who may read a secret by its resource policy. AWS does not list by
// secret what identity policies allow.
func (x *examination) policy(ctx context.Context, doc document) {
	out, err := x.aws.secrets.GetResourcePolicy(ctx,
		&secretsmanager.GetResourcePolicyInput{SecretId: &doc.id})
	if err != nil {
		x.unread(refused(err, "secretsmanager:GetResourcePolicy", doc.name()))
		return
	}
	who := policyReaders(aws.ToString(out.ResourcePolicy))
	switch {
	case len(who) == 0:
	case slices.Contains(who, "*"):
		x.add(weightFault, "Name the readers in the resource policy: "+x.cli("secretsmanager",
			"put-resource-policy", "--secret-id", doc.name(), "--resource-policy", "file://policy.json"),
			"the resource policy of %s allows anybody to read it", doc.name())
	case doc.role == "token" || doc.role == roleCopy:
		x.add(weightOK, "", "the resource policy of %s allows these to read it: %s",
			doc.name(), strings.Join(who, ", "))
	default:
		x.add(weightWarning, "Applications need the token alone: remove these readers from the policy.",
			"the resource policy of %s allows these to read it: "+
				"%s", doc.name(), strings.Join(who, ", "))
	}
}

// oneOrMore is a JSON string or a list of them.
type oneOrMore []string

// UnmarshalJSON accepts both forms.
func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	var more []string
	err := json.Unmarshal(b, &more)
	*o = more
	return err
}

// policyReaders are the principals that a resource policy allows to read the value,
// sorted. An unreadable policy has none: AWS does not accept such policies.
func policyReaders(policy string) []string {
	var p struct {
		Statement []struct {
			Effect    string
			Action    oneOrMore
			Principal json.RawMessage
			Condition json.RawMessage
		}
	}
	if json.Unmarshal([]byte(policy), &p) != nil {
		return nil
	}
	var who []string
	for _, s := range p.Statement {
		reads := slices.ContainsFunc(s.Action, func(action string) bool {
			action = strings.ToLower(action)
			prefix, wild := strings.CutSuffix(action, "*")
			return action == "secretsmanager:getsecretvalue" || wild &&
				strings.HasPrefix("secretsmanager:getsecretvalue", prefix)
		})
		if s.Effect != "Allow" || !reads {
			continue
		}
		var anybody string
		named := map[string]oneOrMore{}
		if json.Unmarshal(s.Principal, &anybody) == nil {
			named["AWS"] = oneOrMore{anybody}
		} else if json.Unmarshal(s.Principal, &named) != nil {
			continue
		}
		for _, some := range named {
			for _, one := range some {
				if one == "*" && len(s.Condition) > 0 {
					one = "whom a condition allows"
				}
				who = append(who, one)
			}
		}
	}
	slices.Sort(who)
	return slices.Compact(who)
}
