// Loaded into a process (node --import) that was started with a channel: ends it in order when its parent is gone,
// even if the parent could not say so.
process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
// The channel alone is no reason to go on.
process.channel?.unref();
