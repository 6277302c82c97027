package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
)

// The model of AWS: a latency as within a Region, and the documented quotas; see
// fakeaws.Quotas. These bound a run.
const (
	awsLatency      = 30 * time.Millisecond
	providerLatency = 300 * time.Millisecond
	writeQuota      = 50
	batchQuota      = 100
	parameterQuota  = 40
)

// cloud is AWS and the providers of the connections.
type cloud struct {
	aws *fakeaws.Server
	// back is how far AWS's clock is behind during the set-up of a fleet, so that the
	// stored versions are older than the tokens.
	back      atomic.Int64
	providers []*fakeidp.Server
}

func newCloud(providers int) (*cloud, error) {
	c := &cloud{}
	var err error
	if c.aws, err = fakeaws.New(fakeaws.Options{FullPages: true, Now: func() time.Time {
		return time.Now().Add(-time.Duration(c.back.Load()))
	}}); err != nil {
		return nil, err
	}
	for range providers {
		p, err := fakeidp.New(fakeidp.Options{})
		if err != nil {
			return nil, err
		}
		p.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook,
			Hook: func(fakeidp.Request) { time.Sleep(providerLatency) }})
		c.providers = append(c.providers, p)
	}
	return c, nil
}

func (c *cloud) close() {
	c.aws.Close()
	for _, p := range c.providers {
		p.Close()
	}
}

// begin sets latency and quotas. Of AWS's quota of writes Evertoken gets a share; others
// in the account use the rest.
func (c *cloud) begin(writes float64) {
	quotas := fakeaws.Quotas()
	for i, q := range quotas {
		if slices.Contains(q.Operations, "PutSecretValue") {
			quotas[i].PerSecond *= writes
		}
	}
	c.aws.ClearFaults()
	c.aws.ResetCalls()
	c.aws.Inject(&fakeaws.Fault{Kind: fakeaws.OnlyHook, Hook: func(fakeaws.Call) { time.Sleep(awsLatency) }})
	c.aws.Enforce(quotas...)
}

// end removes latency and quotas.
func (c *cloud) end() {
	c.aws.ClearFaults()
	c.aws.Enforce()
}

// kind is how the connections of a fleet get their tokens.
type kind string

const (
	client kind = "client_credentials"
	single kind = "refresh_token" // single-use, each opened from a seed
)

// packed is how many connections one parameter declares.
const packed = 20

func name(i int) string { return fmt.Sprintf("c-%05d", i) }

// connect declares n connections, the i-th at provider at(i), and creates their
// secrets, the tokens as old as given; none where age is negative.
func (c *cloud) connect(n int, k kind, age time.Duration, at func(i int) int) {
	c.back.Store(int64(2 * time.Hour))
	defer c.back.Store(0)
	declared := map[string]any{}
	for i := range n {
		o := c.providers[at(i)].OAuth2()
		id, secret := o.AddClient(fakeidp.OAuth2Client{})
		credential := map[string]string{"client_id": id, "client_secret": secret}
		if k == single {
			credential["refresh_token"] = o.AddRefreshToken(id, name(i), "read")
			c.aws.CreateSecret(document(i, "session"), nil, nil)
		}
		value := encode(credential)
		c.aws.CreateSecret(document(i, "credential"), &value, nil)
		var token *string
		if age >= 0 {
			value := encode(tokenDocument(i, age))
			token = &value
		}
		c.aws.CreateSecret(document(i, "token"), token, nil)
		declared[name(i)] = map[string]any{"provider": "oauth2",
			"settings": map[string]any{"token_url": o.TokenURL(), "grant": k}}
		if len(declared) == packed || i == n-1 {
			where := "/evertoken/connections/" + name(i)
			if n > 1 {
				where = fmt.Sprintf("/evertoken/connections/fleet-%05d", i/packed)
				c.aws.PutParameter(where, "String", encode(map[string]any{"connections": declared}))
			} else {
				c.aws.PutParameter(where, "String", encode(declared[name(i)]))
			}
			clear(declared)
		}
	}
}

func document(i int, what string) string { return "evertoken/" + name(i) + "/" + what }

// tokenDocument is a token of an hour as Evertoken publishes it.
func tokenDocument(i int, age time.Duration) map[string]any {
	issued := time.Now().Add(-age).UTC().Truncate(time.Second)
	value := strings.Repeat("x", 800) // a JWT of usual size
	return map[string]any{
		"access_token": value, "token_type": "Bearer", "authorization": "Bearer " + value,
		"issued_at": issued, "expires_at": issued.Add(time.Hour), "renew_after": issued.Add(35 * time.Minute),
		"look_after": issued.Add(29 * time.Minute), "provider": "oauth2", "connection": name(i),
	}
}

// age makes tokens and sessions older, as if the fleet had waited.
func (c *cloud) age(n int, by time.Duration) error {
	api := secretsmanager.NewFromConfig(c.aws.AWSConfig())
	for i := range n {
		for _, what := range []string{"session", "token"} {
			id := document(i, what)
			now, ok := c.aws.Secret(id).Labelled("AWSCURRENT")
			if !ok || !now.HasValue {
				continue
			}
			var v map[string]any
			if err := json.Unmarshal([]byte(now.Value), &v); err != nil {
				return err
			}
			for member, value := range v {
				if text, ok := value.(string); ok {
					if at, err := time.Parse(time.RFC3339, text); err == nil {
						v[member] = at.Add(-by).Format(time.RFC3339)
					}
				}
			}
			if _, err := api.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String(encode(v))}); err != nil {
				return err
			}
			if _, err := api.UpdateSecretVersionStage(context.Background(), &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: &id, VersionStage: aws.String("AWSPREVIOUS"), RemoveFromVersionId: &now.ID,
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of the types above
	}
	return string(b)
}
