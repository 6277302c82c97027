package providers

// FixedCredential is an [exchange.Provider] whose credential no API can change, given how
// the connection is declared.
type FixedCredential interface {
	// FixedCredential says why no API can change the credential, and what to do instead.
	FixedCredential() Fixed
}

// Fixed says why no API changes a credential.
type Fixed struct {
	Why string
	// Instead says what a person does to change the credential.
	Instead string
	// Setting is what to add to the connection so that an API can change the credential;
	// empty if nothing makes that possible.
	Setting string
}

// FixedCredential implements [FixedCredential].
func (p *apiax) FixedCredential() Fixed {
	return Fixed{Why: "no API changes a user's password", Instead: "change it at Apiax"}
}

// FixedCredential implements [FixedCredential].
func (p *flexnet) FixedCredential() Fixed {
	return Fixed{Why: "no API changes a user's password", Instead: "change it in FlexNet Operations"}
}

// FixedCredential implements [FixedCredential].
func (p *sharetribe) FixedCredential() Fixed {
	return Fixed{Why: "no API changes what is stored for Sharetribe",
		Instead: "make a new application (or password) in Sharetribe Console"}
}

// FixedCredential implements [FixedCredential].
func (p *oauth2) FixedCredential() Fixed {
	return Fixed{Why: "no standard API changes a client's secret, a key, " +
		"a password or a refresh token",
		Instead: "change it at the provider"}
}

// FixedCredential implements [FixedCredential] for a connection that names no
// service account.
func (p *flexera) FixedCredential() Fixed {
	return Fixed{Why: "the connection names no service account whose client could be replaced",
		Instead: "make a new refresh token in Flexera One's web UI",
		Setting: "settings.org_id and settings.service_account_id"}
}
