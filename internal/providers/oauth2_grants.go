package providers

import (
	"slices"
	"strings"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
)

func (p *oauth2) Grants(c credential.Credential) ([]exchange.Grant, error) {
	members, err := p.clientMembers(c)
	if err != nil {
		return nil, err
	}
	g := exchange.Grant{Type: p.grant, Members: members}
	for _, member := range p.grantMembers(c) {
		if !slices.Contains(g.Members, member) {
			g.Members = append(g.Members, member)
		}
	}
	if err := c.Require("the "+p.grant+" grant", g.Members...); err != nil {
		return nil, err
	}
	// Also check what is sent in addition to the grant. It does not count towards the
	// fingerprint of what opened a session.
	if err := c.Require("settings.extra or settings.headers", p.fromMembers()...); err != nil {
		return nil, err
	}
	switch p.grant {
	case grantRefresh:
		g.Seed, g.Reusable = true, p.refreshTokensKept
	case grantPassword:
		g.Password = true
	case grantJWT:
		if err := p.checkKey(c); err != nil {
			return nil, err
		}
	default:
		g.Password = p.extra[credential.Password].member != ""
	}
	return []exchange.Grant{g}, nil
}

// grantMembers returns the members of the credential that the grant itself sends.
func (p *oauth2) grantMembers(c credential.Credential) []string {
	switch p.grant {
	case grantRefresh:
		return []string{p.named(credential.RefreshToken)}
	case grantPassword:
		return []string{p.named(credential.Username), p.named(credential.Password)}
	case grantJWT:
		return p.assertionMembers(c)
	case grantExchange:
		members := []string{p.named(credential.SubjectToken)}
		if actor := p.named(credential.ActorToken); c.Has(actor) {
			members = append(members, actor)
		}
		return append(members, p.fromMembers()...)
	case grantClient:
		return nil
	}
	return p.fromMembers()
}

// fromMembers returns the members that extra and headers send, sorted by name.
func (p *oauth2) fromMembers() []string {
	var out []string
	for _, sources := range []map[string]source{p.extra, p.headers} {
		for _, s := range sources {
			if s.member != "" {
				out = append(out, s.member)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// clientMembers returns the members with which the client authenticates.
func (p *oauth2) clientMembers(c credential.Credential) ([]string, error) {
	id := p.named(credential.ClientID)
	var members []string
	switch p.auth {
	case authPost, authBasic, authPlainBasic:
		members = []string{id, p.named(credential.ClientSecret)}
	case authKey:
		members = p.assertionMembers(c)
	case authTLS, authSelfTLS:
		members = []string{id}
	case authPublic:
		// RFC 6749 section 3.2.1: a public client "MAY" name itself.
		if c.Has(id) {
			members = []string{id}
		}
	}
	purpose := p.auth
	if p.mutualTLS {
		members = append(members, p.named(credential.Certificate), p.named(credential.PrivateKey))
		purpose += " with mutual TLS"
	}
	if err := c.Require(strings.TrimSpace(purpose), members...); err != nil {
		return nil, err
	}
	if p.auth == authKey || p.mutualTLS {
		if err := p.checkKey(c); err != nil {
			return nil, err
		}
	}
	return members, nil
}
