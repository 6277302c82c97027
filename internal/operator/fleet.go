package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/providers"
	"evertoken/internal/strictjson"
)

// fleet has the declared connections.
type fleet struct {
	path string
	// parameters are the SSM parameters below path, by whole name.
	parameters map[string]string
	declared   []connection.Declared
}

// connectionsPath is where connections are declared: by the flag, the environment or the
// named stack, or else the default.
func (a *app) connectionsPath(ctx context.Context) (string, error) {
	path := cmp.Or(a.path, a.Getenv("EVERTOKEN_CONNECTIONS_PATH"))
	if path != "" || cmp.Or(a.stackName, a.Getenv("EVERTOKEN_STACK")) == "" {
		return cmp.Or(path, defaultPath), nil
	}
	s, err := a.findStack(ctx)
	return s.connectionsPath, err
}

// fleet reads all connections. If none is declared, it looks for the stack, to say why.
func (a *app) fleet(ctx context.Context) (fleet, error) {
	c, err := a.cloud(ctx)
	if err != nil {
		return fleet{}, err
	}
	path, err := a.connectionsPath(ctx)
	if err != nil {
		return fleet{}, err
	}
	f, err := a.fleetAt(ctx, c, path)
	if err != nil || len(f.declared) > 0 || a.path != "" {
		return f, err
	}
	s, err := a.findStack(ctx)
	if err != nil || s.connectionsPath == path {
		return f, err
	}
	return a.fleetAt(ctx, c, s.connectionsPath)
}

// deployed finds the stack and reads the connections where the flag or the stack says.
func (a *app) deployed(ctx context.Context) (stack, fleet, error) {
	c, err := a.cloud(ctx)
	if err != nil {
		return stack{}, fleet{}, err
	}
	s, err := a.findStack(ctx)
	if err != nil {
		return stack{}, fleet{}, err
	}
	if a.path == "" {
		a.path = s.connectionsPath
	}
	all, err := a.fleetAt(ctx, c, a.path)
	return s, all, err
}

func (a *app) fleetAt(ctx context.Context, c *cloud, path string) (fleet, error) {
	values, err := c.values.ByPath(ctx, path)
	if err != nil {
		return fleet{}, refused(err, "ssm:GetParametersByPath", path)
	}
	f := fleet{path: path, parameters: map[string]string{}}
	var all []connection.Parameter
	for name, p := range values {
		f.parameters[name] = p.Value
		all = append(all, connection.Parameter{Name: name, Value: p.Value, Secure: p.Secure})
	}
	f.declared = connection.Load(all, a.rules(path, c.region))
	return f, nil
}

func (a *app) rules(path, region string) connection.Rules {
	return connection.Rules{Path: path, ParameterPrefix: cmp.Or(a.Getenv("EVERTOKEN_PARAMETER_PREFIX"),
		"/evertoken/"), Region: region}
}

// find returns the entry of a name, and for an unknown one the nearest.
func (f fleet) find(name string) (connection.Declared, error) {
	var all []string
	for _, d := range f.declared {
		if d.Name == name {
			return d, nil
		}
		all = append(all, d.Name)
	}
	next := "`evertoken status` lists them. Declare a new one with: evertoken add " + name
	if near := nearest(name, all); near != "" {
		next = "Did you mean " + near + "? `evertoken status` lists them all."
	}
	if !connection.ValidName(name) {
		next = "A name is one lower-case letter or digit, then up to 62 letters, " +
			"digits and hyphens. " + next
	}
	return connection.Declared{}, &failure{exitPerson, fmt.Errorf("no connection %q is declared below %s",
		name, f.path), next}
}

// connection returns a connection that can be used, by name.
func (f fleet) connection(name string) (connection.Declared, error) {
	d, err := f.find(name)
	if err == nil && d.Err != nil {
		return d, person(connection.Correct(d.Parameter), "%w", d.Err)
	}
	return d, err
}

// nearest is the name that a mistyped one most likely means, or "".
func nearest(name string, all []string) string {
	for _, one := range slices.Sorted(slices.Values(all)) {
		if name != "" && (strings.HasPrefix(one, name) || strings.HasPrefix(name, one)) {
			return one
		}
	}
	return strictjson.Nearest(name, all)
}

// provider makes a connection's provider, as the functions do.
func (a *app) provider(c connection.Connection) (exchange.Provider, error) {
	loopback := a.Getenv("EVERTOKEN_ALLOW_LOOPBACK_HTTP") == "1" || a.aws != nil && a.aws.local()
	return providers.New(c, providers.Options{Client: &oauth.Client{Now: a.Now}, Now: a.Now,
		AllowLoopbackHTTP: loopback})
}

// member is the member that an error of a declaration is about, and what is
// wrong with it.
func member(err error) (name, problem string) {
	if e, ok := errors.AsType[*connection.Error](err); ok {
		return e.Member, e.Problem
	}
	return "", err.Error()
}

// problem is an error of a declaration without the connection's name, for output that has
// the name already.
func problem(err error) string {
	name, what := member(err)
	if name == "" {
		return what
	}
	return fmt.Sprintf("%q %s", name, what)
}
