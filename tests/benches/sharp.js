// sharp in a process of its own. Each line of standard input is a job: { source, width, height, format, options, animated, times, out }.
// Each answer is a line: CPU time of all threads per transform in microseconds, bytes, and size.
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');

const sharp = require(require.resolve('sharp', { paths: [process.argv[2]] }));

// Every transform is the first of its kind on a server; without this, libvips would remember the last one.
sharp.cache(false);

const sources = new Map();

// The file is in memory: reading it is not sharp's to answer for.
function source(path) {
  if (!sources.has(path)) sources.set(path, fs.readFileSync(path));
  return sources.get(path);
}

function once(job) {
  const picture = sharp(source(job.source), { animated: job.animated === true, limitInputPixels: false });
  const resized = picture.resize({ width: job.width, height: job.height, fit: 'fill' });
  return resized[job.format](job.options).toBuffer({ resolveWithObject: true });
}

async function run(job) {
  const before = process.cpuUsage();
  let made;
  for (let time = 0; time < job.times; time += 1) made = await once(job);
  const spent = process.cpuUsage(before);
  if (job.out) fs.writeFileSync(job.out, made.data);
  return {
    cpu: (spent.user + spent.system) / job.times,
    bytes: made.data.length,
  };
}

async function main() {
  const { versions } = sharp;
  console.log(JSON.stringify({ sharp: versions.sharp, libvips: versions.vips, node: process.versions.node, 'libvips threads': sharp.concurrency() }));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer;
    try {
      answer = await run(JSON.parse(line));
    } catch (error) {
      answer = { error: String(error) };
    }
    console.log(JSON.stringify(answer));
  }
}

main();
