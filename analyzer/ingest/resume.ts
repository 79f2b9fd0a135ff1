import type { Checkpoint } from "./checkpoint.ts";
import { EMPTY_MEMORY } from "./memory.ts";
import type { StreamState } from "./stream.ts";

export interface Resume {
  readonly checkpoint: Checkpoint;
  /** Stream messages that were removed before they were joined: gone. */
  readonly unread: number;
  /** Joined messages that were removed although a restart had to read them again: their partners may come out as orphans. */
  readonly history: number;
  /** Why the lane does not simply go on; empty when it does. */
  readonly trouble: string;
}

/** The checkpoint of a lane that has never read this journal. */
export function freshCheckpoint(
  state: StreamState,
  { lanes, generation }: { lanes: number; generation: number },
): Checkpoint {
  const { identity, firstSequence } = state;
  return {
    version: 1,
    lanes,
    stream: identity,
    generation,
    owner: "",
    write: 0,
    floor: firstSequence,
    done: { sequence: firstSequence - 1, watermarkUs: 0 },
    end: null,
    memory: { ...EMPTY_MEMORY, complete: firstSequence === 1 },
  };
}

/** Where a lane goes on, given what it has noted and what the stream holds. */
export function resume(checkpoint: Checkpoint, state: StreamState): Resume {
  const { done, floor, lanes, generation, owner, write } = checkpoint;
  const none = { unread: 0, history: 0, trouble: "" };
  if (checkpoint.stream !== state.identity) {
    const fresh = freshCheckpoint(state, { lanes, generation: 0 });
    const trouble = `stream was made anew at ${state.identity}, the checkpoint is of the one made at ${checkpoint.stream}: beginning with its first message`;
    return { ...none, checkpoint: { ...fresh, owner, write }, trouble };
  }
  if (state.lastSequence < done.sequence) {
    const behind = `stream ends at ${state.lastSequence}, ${done.sequence} was joined already`;
    if (state.firstTimeUs === 0 || state.firstTimeUs > done.watermarkUs) {
      // A stream in memory after its server's restart: other messages under the same numbers.
      const fresh = freshCheckpoint(state, { lanes, generation: generation + 1 });
      const trouble = `${behind}: its numbers began anew, so does the lane`;
      return { ...none, checkpoint: { ...fresh, owner, write }, trouble };
    }
    // The server lost its newest messages (power failure, old backup); what is left of them was joined.
    const back = { sequence: state.lastSequence, watermarkUs: done.watermarkUs };
    return {
      ...none,
      checkpoint: {
        ...checkpoint,
        generation: generation + 1,
        floor: Math.min(floor, state.lastSequence),
        done: back,
        end: null,
      },
      trouble: `${behind}: the server lost messages, going on behind the last one it has`,
    };
  }
  const { firstSequence } = state;
  if (firstSequence <= floor) return { ...none, checkpoint };
  const unread = Math.max(0, firstSequence - (done.sequence + 1));
  const history = firstSequence - floor - unread;
  return {
    checkpoint: { ...checkpoint, floor: firstSequence },
    unread,
    history,
    trouble: `stream begins at ${firstSequence}, expected ${floor} or before: its limits removed ${unread} unread messages and ${history} that were to be read again`,
  };
}
