// Package session keeps the session secret of one connection. Only one of several runs may
// send its refresh token, and a run sends that token again only after an answer was lost. A
// session that was received and could be stored is never lost, whatever other runs do and
// whenever the process ends.
//
// Only the secret's versions and their labels say which session is current. [StageOf] turns
// them into one of a few stages, [Next] says which step follows, and [Keeper] makes it. No
// other package reads these labels.
//
//	stage       what AWS shows                               next step
//	empty       no AWSCURRENT                                open
//	moved       AWSCURRENT is not the version that was read  read again
//	unlabelled  EVERTOKEN_EXCHANGE on no version             place; wait while a session is opened
//	idle        EVERTOKEN_EXCHANGE on another version        claim
//	lost        as idle, and EVERTOKEN_SENT on AWSCURRENT    claim, recover
//	busy        EVERTOKEN_EXCHANGE on AWSCURRENT             note and wait; in an emergency pass by
//	orphaned    as busy, and EVERTOKEN_SEEN is too old       take over, recover
//
// A note is too old if it is older than a run can last. A run passes by a claim only if it was
// noted at least a minute ago.
//
// A run moves EVERTOKEN_EXCHANGE only by naming the version that has it. If two runs do so,
// AWS refuses one. A claim moves it onto AWSCURRENT. When a run stores the next session, the
// label stays on the version before it. A run takes a claim over by removing its note
// EVERTOKEN_SEEN, by name: again only one of two runs succeeds, and a run that AWS showed an
// old state cannot remove a note that is gone. After a lost answer the label goes to a
// version that has it in no earlier state, so that a run that was shown an earlier state
// cannot claim.
package session
