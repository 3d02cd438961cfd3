// CloudFront Function (runtime 2.0), event "viewer request": one spelling of `Accept` for each kind of client, so that there are four entries for a URL at most.
function kinds(accept) {
  const formats = ['image/jxl', 'image/avif', 'image/webp'];
  return formats.filter(function (format) {
    return accept.split(',').some(function (part) {
      const fields = part.trim().toLowerCase().split(';');
      const refused = fields.slice(1).some(function (field) { return /^\s*q\s*=\s*0(\.0*)?\s*$/.test(field); });
      return fields[0].trim() === format && !refused;
    });
  });
}

function handler(event) {
  const request = event.request;
  const accept = request.headers.accept ? request.headers.accept.value : '';
  request.headers.accept = { value: kinds(accept).concat('image/*').join(',') };
  return request;
}
