package secrets

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"evertoken/internal/redact"
)

// ParameterAPI is the part of the SSM client that is used.
type ParameterAPI interface {
	GetParametersByPath(context.Context, *ssm.GetParametersByPathInput,
		...func(*ssm.Options)) (*ssm.GetParametersByPathOutput, error)
	GetParameters(context.Context, *ssm.GetParametersInput,
		...func(*ssm.Options)) (*ssm.GetParametersOutput, error)
	GetParameter(context.Context, *ssm.GetParameterInput,
		...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
	PutParameter(context.Context, *ssm.PutParameterInput,
		...func(*ssm.Options)) (*ssm.PutParameterOutput, error)
	DeleteParameter(context.Context, *ssm.DeleteParameterInput,
		...func(*ssm.Options)) (*ssm.DeleteParameterOutput, error)
}

// Parameters reads and writes SSM parameters.
type Parameters struct {
	api   ParameterAPI
	paces Paces
}

// NewParameters returns a store of parameters over the client.
func NewParameters(api ParameterAPI) *Parameters { return &Parameters{api: api} }

// Paced returns the same store, one that keeps to the paces.
func (p *Parameters) Paced(paces *Paces) *Parameters { return &Parameters{p.api, *paces} }

// read and write are the options of calls that keep to a pace.
func (p *Parameters) read(o *ssm.Options) { o.Retryer = paced(o.Retryer, p.paces.ParameterReads) }

func (p *Parameters) write(o *ssm.Options) { o.Retryer = paced(o.Retryer, p.paces.ParameterWrites) }

// Listed is a parameter as [Parameters.ByPath] finds it.
type Listed struct {
	Value string
	// Secure is set for a SecureString, whose value is not in clear here.
	Secure bool
}

// ByPath reads all parameters below a path, by whole name. It reads all pages: a page may
// be short or even empty without being the last. Each page names the next, so they cannot
// be read side by side.
func (p *Parameters) ByPath(ctx context.Context, path string) (map[string]Listed, error) {
	out := map[string]Listed{}
	in := &ssm.GetParametersByPathInput{Path: &path, Recursive: aws.Bool(true),
		MaxResults: aws.Int32(10)}
	for {
		page, err := p.api.GetParametersByPath(ctx, in, p.read)
		if err != nil {
			return nil, classify("GetParametersByPath", err)
		}
		for _, one := range page.Parameters {
			secure := one.Type == types.ParameterTypeSecureString
			out[aws.ToString(one.Name)] = Listed{aws.ToString(one.Value), secure}
		}
		if aws.ToString(page.NextToken) == "" {
			return out, nil
		}
		in.NextToken = page.NextToken
	}
}

// parametersPerCall is the most that GetParameters takes (botocore model,
// ParameterNameList).
const parametersPerCall = 10

// Batch reads the named parameters in clear, ten in a call, several calls at a time. A
// parameter that does not exist is [ErrNotFound] under its name, and one bad parameter does
// not spoil the others.
func (p *Parameters) Batch(ctx context.Context, names []string) map[string]Read {
	return inChunks(names, parametersPerCall, func(chunk []string) map[string]Read {
		out := make(map[string]Read, len(chunk))
		p.batch(ctx, chunk, out)
		return out
	})
}

func (p *Parameters) batch(ctx context.Context, names []string, out map[string]Read) {
	page, err := p.api.GetParameters(ctx,
		&ssm.GetParametersInput{Names: names, WithDecryption: aws.Bool(true)}, p.read)
	err = classify("GetParameters", err)
	switch kind := ErrorKind(err); {
	case err == nil:
	case len(names) > 1 && kind != ErrThrottled && kind != ErrTransient:
		// AWS denies the whole call for one key or one name without a right.
		for _, name := range names {
			p.batch(ctx, []string{name}, out)
		}
		return
	default:
		for _, name := range names {
			out[name] = Read{Err: err}
		}
		return
	}
	for _, name := range names { // in the answer or else reported as invalid
		out[name] = Read{Err: &Error{Kind: ErrTransient, Op: "GetParameters", Code: "NoAnswer"}}
	}
	for _, one := range page.Parameters {
		out[aws.ToString(one.Name)] = Read{Version: Version{
			Value: redact.New(aws.ToString(one.Value)), Created: aws.ToTime(one.LastModifiedDate),
		}}
	}
	for _, name := range page.InvalidParameters {
		out[name] = Read{Err: &Error{Kind: ErrNotFound, Op: "GetParameters", Code: "ParameterNotFound"}}
	}
}

// Get reads one parameter in clear.
func (p *Parameters) Get(ctx context.Context, name string) (redact.Secret, error) {
	out, err := p.api.GetParameter(ctx,
		&ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)}, p.read)
	if err != nil {
		return redact.Secret{}, classify("GetParameter", err)
	}
	return redact.New(aws.ToString(out.Parameter.Value)), nil
}

// Put writes or replaces a SecureString, encrypted with keyID or, if that is empty, with
// the account's default key. The tier is
// Intelligent-Tiering: a value over 4 KiB moves the parameter to the advanced
// tier, which is charged.
func (p *Parameters) Put(ctx context.Context, name, keyID string, value redact.Secret) error {
	in := &ssm.PutParameterInput{
		Name: &name, Value: aws.String(value.Reveal()), Overwrite: aws.Bool(true),
		Type: types.ParameterTypeSecureString, Tier: types.ParameterTierIntelligentTiering,
	}
	if keyID != "" {
		in.KeyId = &keyID
	}
	_, err := p.api.PutParameter(ctx, in, p.write)
	return classify("PutParameter", err)
}

// Delete removes a parameter. It succeeds if there is none.
func (p *Parameters) Delete(ctx context.Context, name string) error {
	_, err := p.api.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &name})
	if err = classify("DeleteParameter", err); ErrorKind(err) == ErrNotFound {
		return nil
	}
	return err
}

var _ ParameterAPI = (*ssm.Client)(nil)
