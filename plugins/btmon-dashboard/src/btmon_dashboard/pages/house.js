// SPDX-License-Identifier: GPL-3.0-or-later
// The house as a whole: what the grid, the sun and the battery give, and what is used. Pure.

const isPresent = (channel) => channel.watts !== null;
const sum = (channels, key) => channels.reduce((total, one) => total + (one[key] ?? 0), 0);

// Watts and Wh of today of each part. The sun is a gift, whichever way its sensor is clipped on. A channel that is in
// another one ("part") is not counted again.
// `today` is what came from the grid and went to it: of several mains, what their sum did.
export function balance(channels, today) {
  const of = (role) => channels.filter((one) => one.role === role);
  const [grid, solar, battery, loads] = [of("grid"), of("solar"), of("battery"), of("")];
  const sun = { watts: Math.abs(sum(solar, "watts")), today: Math.abs(sum(solar, "wh_today")) };
  const store = { watts: sum(battery, "watts"), today: sum(battery, "wh_today"), taken: sum(battery, "import_today"), given: sum(battery, "export_today") };
  const supply = { watts: sum(grid, "watts"), taken: today?.import_today ?? 0, given: today?.export_today ?? 0 };
  // where the meter of one of them is silent, the circuits are all that is known of the present
  const isSupplyKnown = grid.length > 0 && [...grid, ...solar, ...battery].every(isPresent);
  const measured = [
    isSupplyKnown ? supply.watts + sun.watts - store.watts : sum(loads, "watts"),
    grid.length ? supply.taken - supply.given + sun.today - store.today : sum(loads, "wh_today"),
  ];
  const present = (role) => role.length > 0 && role.every(isPresent);
  return {
    has: { grid: present(grid), solar: present(solar), battery: present(battery) },
    isThere: { grid: grid.length > 0, solar: solar.length > 0, battery: battery.length > 0 },
    isKnown: channels.some(isPresent),
    grid: supply,
    solar: sun,
    battery: store,
    house: { watts: Math.max(measured[0], 0), today: Math.max(measured[1], 0) },
  };
}

// Of what is used now, how many watts come from where, and what is left of the sun.
export function sources(parts) {
  const used = parts.house.watts;
  const sun = Math.min(parts.solar.watts, used);
  const stored = Math.min(Math.max(-parts.battery.watts, 0), used - sun);
  return { solar: sun, battery: stored, grid: Math.max(used - sun - stored, 0) };
}

// The sentence below the picture: how much of what is used is the house's own.
export function ownShare(parts) {
  if (!parts.has.solar && !parts.has.battery) return "";
  const from = sources(parts);
  const share = Math.round((100 * (from.solar + from.battery)) / (parts.house.watts || 1));
  const named = [from.solar >= 1 && "the sun", from.battery >= 1 && "the battery"].filter(Boolean);
  const own = named.join(" and ") || "the sun";
  return share >= 100 ? `Everything that is used now comes from ${own}.` : `${share} % of what is used now comes from ${own}.`;
}
