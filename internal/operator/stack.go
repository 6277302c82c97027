package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
)

// The command finds Evertoken's stack by its outputs, with one call and one right:
// cloudformation:DescribeStacks. The answer has all that the command needs: the
// functions, the path of the connections, the prefix and the key of the secrets.

const (
	defaultPath   = "/evertoken/connections/"
	defaultPrefix = "evertoken/"
)

// stack is Evertoken as deployed.
type stack struct {
	name            string
	issue, rotate   string // ARNs of the functions
	connectionsPath string
	parameterPrefix string
	secretPrefix    string
	keyARN          string // "" for AWS's own keys
	every           time.Duration
	allowedHosts    string
}

// findStack finds the stack that --stack or EVERTOKEN_STACK names, or else the only
// one there is.
func (a *app) findStack(ctx context.Context) (stack, error) {
	c, err := a.cloud(ctx)
	if err != nil {
		return stack{}, err
	}
	name := cmp.Or(a.stackName, a.Getenv("EVERTOKEN_STACK"))
	in := &cloudformation.DescribeStacksInput{}
	resource := "all stacks"
	if name != "" {
		in.StackName, resource = &name, "the stack "+name
	}
	var found []types.Stack
	for pages := cloudformation.NewDescribeStacksPaginator(c.stacks, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if e, ok := errors.AsType[smithy.APIError](err); ok && e.ErrorCode() == "ValidationError" {
			return stack{}, a.noStack(ctx, c, "there is no stack "+name)
		}
		if err != nil {
			f := refused(err, "cloudformation:DescribeStacks", resource)
			if name == "" && denied(awsCode(err)) {
				return stack{}, &failure{exitAWS, f, "With --stack NAME the right on that one " +
					"stack is enough."}
			}
			return stack{}, f
		}
		found = append(found, page.Stacks...)
	}
	return a.choose(ctx, c, found, name)
}

// choose returns Evertoken's stack among those found.
func (a *app) choose(ctx context.Context, c *cloud, found []types.Stack, name string) (
	stack, error,
) {
	var ours []stack
	var old []string
	for _, s := range found {
		if s.StackStatus == types.StackStatusDeleteComplete || !isEvertoken(s) {
			continue
		}
		one, complete := readStack(s)
		if !complete {
			old = append(old, one.name)
			continue
		}
		ours = append(ours, one)
	}
	switch {
	case len(ours) == 1:
		return ours[0], nil
	case len(ours) > 1:
		var all []string
		for _, s := range ours {
			all = append(all, s.name)
		}
		slices.Sort(all)
		return stack{}, &failure{exitUsage,
			fmt.Errorf("there are %d stacks of Evertoken here: %s", len(ours), strings.Join(all, ", ")),
			"Say which with --stack NAME, or set EVERTOKEN_STACK."}
	case len(old) > 0:
		return stack{}, &failure{exitAWS, fmt.Errorf("the stack %s was deployed from a template "+
			"that is too old for this command", old[0]),
			"Deploy the template of this release over it. Nothing is lost: " +
				"the secrets are not part of the stack."}
	case name != "":
		return stack{}, a.noStack(ctx, c, "the stack "+name+" is not Evertoken's")
	}
	return stack{}, a.noStack(ctx, c, "no stack of Evertoken was found")
}

func (a *app) noStack(ctx context.Context, c *cloud, what string) error {
	return &failure{exitAWS, fmt.Errorf("%s in %s, Region %s", what, c.account(ctx), c.region),
		"Is it deployed in another Region or account? Give --region or --profile. " +
			"If it is not deployed yet, see the README, \"Deploy\"."}
}

// isEvertoken recognizes a stack by the beginning of the template's description.
func isEvertoken(s types.Stack) bool {
	return strings.HasPrefix(aws.ToString(s.Description), "Evertoken keeps ")
}

// readStack reads outputs and parameters. complete is false where an output is missing
// that this command needs.
func readStack(s types.Stack) (out stack, complete bool) {
	outputs, parameters := map[string]string{}, map[string]string{}
	for _, o := range s.Outputs {
		outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	for _, p := range s.Parameters {
		parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	every, err := time.ParseDuration(parameters["Every"])
	if err != nil {
		every = 5 * time.Minute
	}
	out = stack{
		name: aws.ToString(s.StackName), issue: outputs["IssueFunctionArn"],
		rotate:          outputs["RotateFunctionArn"],
		connectionsPath: cmp.Or(parameters["ConnectionsPath"], defaultPath),
		parameterPrefix: cmp.Or(parameters["ParameterPrefix"], "/evertoken/"),
		secretPrefix:    cmp.Or(parameters["SecretPrefix"], defaultPrefix),
		keyARN:          parameters["KmsKeyArn"], every: every, allowedHosts: parameters["AllowedHosts"],
	}
	return out, out.issue != "" && out.rotate != ""
}
