package fakeaws

// kmsRefusal says what the key of a secret or parameter refuses.
type kmsRefusal struct{ decrypt, encrypt bool }

// SetKMS makes the KMS key of a secret or parameter, or of all with an empty name, refuse
// to decrypt (reads) or to encrypt (writes). Secrets Manager then answers
// DecryptionFailure or EncryptionFailure, Parameter Store AccessDeniedException for a
// SecureString. A put that repeats what a version already holds still succeeds. Both
// false removes the setting of that name.
func (s *Server) SetKMS(name string, denyDecrypt, denyEncrypt bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kms[name] = kmsRefusal{denyDecrypt, denyEncrypt}
}

func (s *Server) refusal(name string) kmsRefusal {
	all, one := s.kms[""], s.kms[name]
	return kmsRefusal{decrypt: all.decrypt || one.decrypt, encrypt: all.encrypt || one.encrypt}
}

// The texts are the documentation of the two exceptions [botocore secretsmanager].

func errDecryption() error {
	return refuse("DecryptionFailure",
		"Secrets Manager can't decrypt the protected secret text using the provided KMS key.")
}

func errEncryption() error {
	return refuse("EncryptionFailure",
		"Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the KMS key is available, enabled, and not in an invalid state.")
}

// errParameterKey is how KMS's own refusal comes through Parameter Store.
func errParameterKey(action string) error {
	return refuse("AccessDeniedException",
		"User is not authorized to perform: kms:%s on the resource associated with this ciphertext because no identity-based policy allows the kms:%s action", action, action)
}
