import { expect, test } from "@jest/globals";
import { compareGrpcStatus } from "../../../analyzer/divergence/rules/grpc-status.ts";
import type { Observation } from "../../../analyzer/observation/observation.ts";
import { observation } from "../../support/observation.ts";

const legs = (
  primary: number | null,
  shadow: number | null,
  changes: Partial<Observation> = {},
) => ({
  primary: observation({ grpcStatus: primary }),
  shadow: observation({ leg: "shadow", grpcStatus: shadow, ...changes }),
});

test("a gRPC error behind an HTTP 200 is high, and is called by its name", () => {
  expect(compareGrpcStatus(legs(0, 13))).toEqual({
    rule: "grpc-status",
    grade: "high",
    primary: "0 OK",
    shadow: "13 INTERNAL",
    sentence: "the shadow answered gRPC 13 INTERNAL where the primary answered gRPC 0 OK",
  });
});

test("another error, or a success where the primary failed, is medium", () => {
  expect(compareGrpcStatus(legs(5, 13))?.grade).toBe("medium");
  expect(compareGrpcStatus(legs(13, 0))?.grade).toBe("medium");
});

test("a status that gRPC does not know is shown as its number", () => {
  expect(compareGrpcStatus(legs(0, 4_294_967_295))?.shadow).toBe("4294967295");
});

test("traffic that is not gRPC has nothing to compare", () => {
  expect(compareGrpcStatus(legs(null, null))).toBeNull();
});

test("a missing status is found when the answer was otherwise alike", () => {
  expect(compareGrpcStatus(legs(0, null))?.sentence).toBe(
    "the shadow answered without a gRPC status where the primary answered gRPC 0 OK",
  );
});

test("a missing status is no second finding when the answer was cut or had another HTTP status", () => {
  expect(compareGrpcStatus(legs(0, null, { ending: "reset" }))).toBeNull();
  expect(compareGrpcStatus(legs(0, null, { status: 503 }))).toBeNull();
});
