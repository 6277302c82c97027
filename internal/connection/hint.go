package connection

// DefaultToken returns the name of the secret in which a connection publishes its token if
// it names none.
func DefaultToken(name string) string { return "evertoken/" + name + "/token" }

// Correct returns the sentence that says how to correct a declaration: it names the command
// that writes the parameter again.
func Correct(parameter string) string {
	return "Correct it in the parameter " + parameter + ": " + putCommand(parameter) + "."
}
