// Checks that print one line each. The process fails if one of them does.

import assert from "node:assert/strict";

export async function check(name, work) {
  try {
    await work();
    console.log(`ok ${name}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAILED ${name}: ${error.stack}`);
    if (error.error) console.log(`  answer: ${error.status} ${JSON.stringify(error.error)}`);
  }
}

// Fails unless `work` is refused with this class of error, status and number.
export async function refused(work, kind, status, code) {
  const error = await work().then(
    (answer) => assert.fail(`accepted: ${JSON.stringify(answer)}`),
    (error) => error,
  );
  if (!(error instanceof kind)) throw error;
  assert.equal(error.status, status);
  assert.equal(error.errors[0].code, code);
  assert.equal(typeof error.errors[0].message, "string");
  return error;
}

// What the environment says of the server and the pictures.
export function setting(name) {
  const value = process.env[name];
  assert.ok(value, `no ${name}`);
  return value;
}
