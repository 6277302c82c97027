package connection

// DefaultToken returns the name of the secret in which a connection publishes its token if
// it names none.
func DefaultToken(name string) string { return "evertoken/" + name + "/token" }

// StoreCommands returns the commands, in backticks, with which a person stores a credential
// and leaves no value in the shell's history: Evertoken's own, which stores it only if it
// works, or the AWS CLI's. secret is the name of the credential's secret.
func StoreCommands(name, secret string) string {
	return "`evertoken credential " + name + "`, or `aws secretsmanager put-secret-value " +
		"--secret-id " + secret + " --secret-string file://credential.json`"
}

// Correct returns the sentence that says how to correct a declaration: it names the command
// that writes the parameter again.
func Correct(parameter string) string {
	return "Correct it in the parameter " + parameter + ": " + putCommand(parameter) + "."
}
