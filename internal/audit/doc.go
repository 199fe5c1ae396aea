// Package audit keeps who did what in a log that shows when it was changed.
//
// # The file
//
// A log is a directory of files audit-00000001.jsonl and so on, one JSON object
// a line. Every line ends with the hash of the line before it (prev) and its own
// (hash), the SHA-256 of its bytes up to the hash, so that a line cannot be
// changed, removed, inserted or moved without breaking the chain. Whoever can
// write the files could compute the whole chain anew; therefore the first line
// of each file and a checkpoint every so many lines are signed with an Ed25519
// key (sig), over the same bytes. What lies before a signature cannot be forged
// without the key. What lies after the last one, at most CheckpointEvery lines,
// can; and a chain cannot show that its end was cut off. For both, keep a head
// (ReadHead) somewhere else and give it to Verify.
//
// # The writer
//
// Callers encode their records themselves and leave the bytes in a buffer under
// a mutex. One goroutine owns the files: it takes the buffer as a batch, gives
// the records their numbers and hashes, and writes a batch with one write and,
// under FsyncAlways, one fsync, for which all callers of the batch wait.
//
// # When it cannot write
//
// A failed write is undone: the file is cut back to its last whole record. The
// policy OnFull then says what comes first. Refuse: Append fails, and so must
// the call that wanted it, before it has computed. Degrade: the call goes on,
// records wait in the bounded queue and, beyond it, are counted; a gap record
// with the count is written as soon as writing works. Either way the writer
// tries again every second.
package audit
