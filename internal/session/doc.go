// Package session keeps the session secret of one connection. Of several runs one alone
// may send its refresh token, and that token is sent again only after an answer was lost.
// A session that was received and could be stored is not lost, whatever other runs do and
// whenever the process ends.
//
// The secret's versions and their labels alone say which session is in force.
// [StageOf] turns them into one of a few stages, [Next] says which step follows,
// and [Keeper] makes it. No other package looks at these labels.
//
//	stage       what AWS shows                                        next step
//	empty       no AWSCURRENT                                         open
//	moved       AWSCURRENT is not the version that was read           read again
//	unlabelled  EVERTOKEN_EXCHANGE on no version                      place, then look again; where a session is being opened: wait
//	idle        EVERTOKEN_EXCHANGE on another version                 claim
//	lost        as idle, and EVERTOKEN_SENT on AWSCURRENT             claim, recover
//	busy        EVERTOKEN_EXCHANGE on AWSCURRENT                      note and wait; in an emergency, once noted a minute ago: pass by
//	orphaned    as busy, and EVERTOKEN_SEEN older than a run can last take over, recover
//
// A run moves EVERTOKEN_EXCHANGE only by naming the version that has it. If two
// runs do so, AWS refuses one. A claim moves it onto AWSCURRENT. When a run stores
// the next session, the label stays behind on the version before it. A run takes a
// claim over by removing its note EVERTOKEN_SEEN, by name: again only one of two
// runs succeeds, and a run that AWS showed an old state cannot remove a note that
// is gone. After a lost answer the label goes to a version that no earlier state
// shows it on, so that a run which was shown an earlier state cannot claim.
package session
