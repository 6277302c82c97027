package fakeaws

import "encoding/json"

type getResourcePolicy struct{ secretID }

// policyOf is the answer of both operations; a secret without a policy has no
// such member [botocore secretsmanager GetResourcePolicy].
type policyOf struct {
	ARN, Name      string
	ResourcePolicy string `json:",omitempty"`
}

func (in *getResourcePolicy) apply(_ *Server, st *state) (any, error) {
	x, err := st.existing(in.SecretId)
	if err != nil {
		return nil, err
	}
	return policyOf{ARN: x.arn, Name: x.name, ResourcePolicy: x.policy}, nil
}

type putResourcePolicy struct {
	secretID
	ResourcePolicy    string `required:"true" size:"1,20480"`
	BlockPublicPolicy bool
}

func (in *putResourcePolicy) apply(s *Server, st *state) (any, error) {
	x, err := st.existing(in.SecretId)
	if err != nil {
		return nil, err
	}
	var policy struct{ Statement json.RawMessage }
	if json.Unmarshal([]byte(in.ResourcePolicy), &policy) != nil || policy.Statement == nil {
		return nil, refuse("MalformedPolicyDocumentException", "This resource policy contains a syntax error.")
	}
	next := x.clone()
	next.policy = in.ResourcePolicy
	s.commit(next)
	return policyOf{ARN: x.arn, Name: x.name}, nil
}
