package connection

// DefaultToken is the name of the secret that a connection's token is published
// in where it names none.
func DefaultToken(name string) string { return "evertoken/" + name + "/token" }

// Correct says how to correct a declaration: it names the command that writes the
// parameter again.
func Correct(parameter string) string {
	return "Correct it in the parameter " + parameter + ": " + putCommand(parameter) + "."
}
