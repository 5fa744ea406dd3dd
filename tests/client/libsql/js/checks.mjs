// The checks of a program: check() names them, run() runs them in order and prints a plan (1..N)
// and a line each: `ok NAME`, `skip NAME: WHY` or `not ok NAME: WHY`. Words on the command line
// choose the checks whose name has one of them. A check gets the shared client and a prefix for its
// tables, which no other check has.
const checks = [];
let skipped;

export const target = {
    url: process.env.LIBSQL_URL,
    token: process.env.LIBSQL_TOKEN,
    readToken: process.env.LIBSQL_READ_TOKEN,
    wrongUrl: process.env.LIBSQL_WRONG_URL, // a database that does not exist
    idleMs: Number(process.env.LIBSQL_IDLE_MS ?? 0), // how long a transaction may idle
    isWebSocket: process.env.LIBSQL_URL.startsWith("ws"),
};

export function check(name, run) {
    checks.push([name, run]);
}

// Ends the check that calls it: it does not apply here.
export function skip(why) {
    skipped = why;
    throw new Error("skipped");
}

const patience = Number(process.env.LIBSQL_PATIENCE_S ?? 60) * 1000;

function inTime(promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no end after ${patience / 1000} s`)), patience);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export async function run(open) {
    const words = process.argv.slice(2);
    const chosen = checks.filter(([name]) => words.length === 0 || words.some((word) => name.includes(word)));
    console.log(`1..${chosen.length}`);
    let failed = 0;
    for (const [index, [name, body]] of chosen.entries()) {
        skipped = undefined;
        const client = open();
        try {
            await inTime(body(client, `t${Date.now()}_${index}`));
            console.log(`ok ${name}`);
        } catch (error) {
            if (skipped !== undefined) {
                console.log(`skip ${name}: ${skipped}`);
            } else {
                failed++;
                console.log(`not ok ${name}: ${String(error?.stack ?? error).replaceAll("\n", "\n    ")}`);
            }
        }
        client.close();
    }
    process.exit(failed ? 1 : 0); // a client that was left waiting must not keep the program
}

export async function rejects(promise, code, message) {
    let value;
    try {
        value = await promise;
    } catch (error) {
        if (code !== undefined && error.code !== code) {
            throw new Error(`code ${error.code}, not ${code}: ${error.message}`);
        }
        if (message !== undefined && !message.test(error.message)) {
            throw new Error(`message is not ${message}: ${error.message}`);
        }
        return error;
    }
    throw new Error(`no error: ${JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}n` : v))?.slice(0, 300)}`);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
